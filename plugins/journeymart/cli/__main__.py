"""Entry point: `python -m journeymart.cli`."""

from __future__ import annotations

import gc
import logging
import sys

import psycopg

from journeymart.cli import build_app
from journeymart.db import LACKING, DatabaseOutdatedError
from journeymart.errors import JourneymartError, WrongUsageError, one_line


class OneLine(logging.Formatter):
    """A message is one line, whatever the names in it; a traceback below it is not."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The message of a record."""
        return one_line(super().formatMessage(record))


def main() -> None:
    """Run the command line; exit code 0 done, 1 failed, 2 wrong usage."""
    # A command makes millions of objects that live until it ends; to look among them for cycles is a tenth of its time.
    gc.set_threshold(50_000, 20, 50)
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    try:
        for argument in sys.argv[1:]:  # as of a terminal in EUC-KR, which the database would not take
            if any("\ud800" <= character <= "\udfff" for character in argument):
                raise WrongUsageError(f"the argument {argument!r} is not UTF-8")
        build_app()(prog_name="journeymart")
    except WrongUsageError as error:
        print(f"journeymart: {error}", file=sys.stderr)
        sys.exit(2)
    except JourneymartError as error:
        print(f"journeymart: {error}", file=sys.stderr)
        sys.exit(1)
    except LACKING as error:
        print(f"journeymart: {DatabaseOutdatedError(error)}", file=sys.stderr)
        sys.exit(1)
    except (psycopg.OperationalError, OSError) as error:  # a server that went away, a disk that is full
        reason = " ".join(str(error).split()).rstrip(".")
        what_to_do = "once that is mended, repeat the command: it goes on where it was"
        print(f"journeymart: {reason}; {what_to_do}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
