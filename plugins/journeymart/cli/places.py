"""Options that are directories or files: one that is not there is wrong usage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def directory(text: str) -> Any:
    """An option that takes a directory that is there."""
    return typer.Option(help=text, exists=True, file_okay=False)


def file(text: str) -> Any:
    """An option that takes a file that is there."""
    return typer.Option(help=text, exists=True, dir_okay=False)


Landing = Annotated[Path | None, directory("Landing zone.  [default: $JOURNEYMART_HOME/landing]")]
Definitions = Annotated[Path | None, directory("Definitions that replace the shipped ones, file by file.")]
