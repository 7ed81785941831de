"""`python -m journeymart.sample`: the command `journeymart sample` on its own."""

from __future__ import annotations

import sys

from journeymart.cli.sample import app
from journeymart.errors import JourneymartError

if __name__ == "__main__":
    try:
        app()
    except JourneymartError as error:
        print(f"journeymart: {error}", file=sys.stderr)
        sys.exit(1)
