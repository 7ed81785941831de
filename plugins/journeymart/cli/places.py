"""Options that are directories or files: one that is not there, or has no name, is wrong usage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def directory(text: str) -> Any:
    """An option that takes a directory that is there."""
    return typer.Option(help=text, parser=_directory, metavar="DIRECTORY")


def new_directory(text: str) -> Any:
    """An option that takes a directory that is made if it is not there."""
    return typer.Option(help=text, parser=_new_directory, metavar="DIRECTORY")


def file(text: str) -> Any:
    """An option that takes a file that is there."""
    return typer.Option(help=text, exists=True, dir_okay=False)


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
