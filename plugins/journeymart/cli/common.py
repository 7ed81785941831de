"""What the commands have in common: options, results for machines, and the help of a group.

What lies outside of the limits of an option is wrong usage, before the database is asked anything.
"""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from journeymart.definitions.durations import parse_duration

# PostgreSQL's integer, and the lines that a file can have.
INTEGER = 2**31 - 1
LINES = 2**32 - 1

Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]


def write_json(result: Any) -> None:
    """Print a result as one line of JSON; dataclasses are objects, and what JSON has not is text."""
    print(json.dumps(result, ensure_ascii=False, default=_plain))


def _plain(item: Any) -> Any:
    return asdict(item) if is_dataclass(item) and not isinstance(item, type) else str(item)


def with_example(text: str, command: str) -> str:
    """The help of a group, with an example as that of every command has one."""
    return f"{text}\n\nExample: `journeymart {command}`"


def group(name: str, text: str, example: str) -> typer.Typer:
    """A command that has others."""
    return typer.Typer(name=name, help=with_example(text, example), no_args_is_help=True)


def number(text: str, *names: str, least: int = 1, most: int = INTEGER) -> Any:
    """An option that takes a number from `least` to `most`; `names` where they are not the parameter's."""
    return typer.Option(*names, min=least, max=most, help=text)


def day(text: str, *names: str) -> Any:
    """An option that takes a date; `names` where they are not the parameter's."""
    return typer.Option(*names, help=text, parser=read_day, metavar="DATE")


def duration(text: str) -> Any:
    """An option that takes a time as definitions write it."""
    return typer.Option(help=text, parser=_duration, metavar="DURATION")


def directory(text: str) -> Any:
    """An option that takes a directory that is there."""
    return typer.Option(help=text, parser=_directory, metavar="DIRECTORY")


def new_directory(text: str) -> Any:
    """An option that takes a directory that is made if it is not there."""
    return typer.Option(help=text, parser=_new_directory, metavar="DIRECTORY")


def file(text: str) -> Any:
    """An option that takes a file that is there."""
    return typer.Option(help=text, exists=True, dir_okay=False)


def read_day(text: str) -> date:
    """The date that a text says. Raises typer.BadParameter if it is none."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date like 2026-03-31") from None


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _directory(text: str) -> Path:
    if not text or not Path(text).is_dir():
        raise typer.BadParameter(f"there is no directory {text!r}")
    return Path(text)


def _new_directory(text: str) -> Path:
    if not text or Path(text).is_file():
        raise typer.BadParameter(f"{text!r} is no directory")
    return Path(text)


Landing = Annotated[Path | None, directory("Landing zone.  [default: $JOURNEYMART_HOME/landing]")]
Definitions = Annotated[Path | None, directory("Definitions that replace the shipped ones, file by file.")]
