"""Options that are numbers: what lies outside of their limits is wrong usage, before the database is asked anything."""

from __future__ import annotations

from typing import Any

import typer

# PostgreSQL's integer and bigint, and the lines that a file can have.
INTEGER = 2**31 - 1
BIGINT = 2**63 - 1
LINES = 2**32 - 1


def number(text: str, *names: str, least: int = 1, most: int = INTEGER) -> Any:
    """An option that takes a number from `least` to `most`; `names` where they are not the parameter's."""
    return typer.Option(*names, min=least, max=most, help=text)
