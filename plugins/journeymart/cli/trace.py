"""`journeymart trace` goes from a number back to the lines it comes from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from journeymart.cli.common import INTEGER, LINES, Json, directory, group, read_day, write_json
from journeymart.cli.sources import known_source
from journeymart.errors import one_line

if TYPE_CHECKING:
    from journeymart.landing.trace import File, Line, Tracer

app = group("trace", "From a number back to its files and lines.", "trace event e-1027")

Landing = Annotated[Path | None, directory("Landing zone, for files landed before there was an archive.")]
Unmasked = Annotated[bool, typer.Option("--unmasked", help="Show the values of a line; this is recorded.")]


@app.command()
def event(
    event_id: Annotated[str, typer.Argument()],
    landing: Landing = None,
    unmasked: Unmasked = False,
    as_json: Json = False,
) -> None:
    """The lines that have brought an event, and where each of them went.

    Example: `journeymart trace event e-1027`
    """
    _show(lambda tracer: tracer.event(event_id), landing, unmasked, as_json)


@app.command()
def transaction(
    transaction_id: Annotated[str, typer.Argument()],
    landing: Landing = None,
    unmasked: Unmasked = False,
    as_json: Json = False,
) -> None:
    """The lines that have brought a transaction, and where each of them went.

    Example: `journeymart trace transaction t-55`
    """
    _show(lambda tracer: tracer.transaction(transaction_id), landing, unmasked, as_json)


@app.command()
def line(
    file_id: Annotated[int, typer.Argument(min=1, max=INTEGER)],
    line_no: Annotated[int, typer.Argument(min=1, max=LINES)],
    landing: Landing = None,
    unmasked: Unmasked = False,
    as_json: Json = False,
) -> None:
    """One line, by the file_id and line_no that every row of the mart carries.

    Example: `journeymart trace line 12 4711`
    """
    _show(lambda tracer: tracer.line(file_id, line_no), landing, unmasked, as_json)


@app.command()
def funnel(
    funnel_id: Annotated[str, typer.Argument()],
    subject_id: Annotated[str, typer.Argument(help="The customer or visitor, as in mart.funnel_entry.")],
    landing: Landing = None,
    unmasked: Unmasked = False,
    as_json: Json = False,
) -> None:
    """The lines of the steps that someone took in a funnel.

    Example: `journeymart trace funnel FN-ACCOUNT-OPEN C10000042`
    """
    _show(lambda tracer: tracer.funnel(funnel_id, subject_id), landing, unmasked, as_json)


@app.command()
def status(
    source: Annotated[str, typer.Argument(help="For example clickstream.", callback=known_source)],
    landed: Annotated[date, typer.Argument(parser=read_day, metavar="DATE", help="The landed_date of the row.")],
    as_json: Json = False,
) -> None:
    """The files behind a row of mart.data_status; their numbers add up to it.

    Example: `journeymart trace status clickstream 2026-06-10`
    """
    _show(lambda tracer: tracer.status(source, landed), None, False, as_json)


def _show(
    find: Callable[[Tracer], list[Line] | list[File]], landing: Path | None, unmasked: bool, as_json: bool
) -> None:
    from journeymart.landing.trace import Line, Tracer
    from journeymart.settings import Settings

    with Tracer(Settings.load(), landing=landing, unmasked=unmasked) as tracer:
        found = find(tracer)
    if as_json:
        write_json(found)
        return
    for item in found:
        if isinstance(item, Line):
            print(one_line(f"{item.path}:{item.line_no} [{item.file_id}] → {item.went_to}"))
            print(one_line(f"    {item.text}"))
            print(f"    sha256 {item.sha256} {item.archived or '(not in the archive)'}")
        else:
            replaced = f"superseded by file {item.superseded_by}" if item.superseded_by else "expired"
            parts = {
                "mart": item.rows_mart, "duplicate": item.rows_duplicate, "bot": item.rows_bot,
                "quarantine": item.rows_quarantined, "erased": item.rows_erased,
                f"out of scope ({replaced})": item.rows_out_of_scope,
            }  # fmt: skip
            shown = " + ".join(f"{rows:,} {what}" for what, rows in parts.items() if rows or what == "mart")
            print(f"[{item.file_id}] {one_line(item.path)}: {item.rows_read:,} read = {shown}")
            print(f"    sha256 {item.sha256} {item.archived or '(not in the archive)'}")
