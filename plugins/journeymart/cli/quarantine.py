"""`journeymart quarantine` shows rejected lines and reads them again after a rule was corrected."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from journeymart.cli.common import Definitions, Json, Landing, group, number, write_json
from journeymart.cli.sources import OnlySource
from journeymart.errors import one_line
from journeymart.runs import new_run_id

app = group("quarantine", "Rejected lines: why, and once more.", "quarantine list --source transactions")

File = Annotated[str | None, typer.Option("--file", help="Only this file: its number or its path.")]
Reason = Annotated[str | None, typer.Option(help="Only lines whose field or reason contains this text.")]


@app.command("list")
def list_(
    file: File = None,
    source: OnlySource = None,
    reason: Reason = None,
    limit: Annotated[int, number("How many lines, those of the latest file first.")] = 50,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Show values; this is recorded.")] = False,
    as_json: Json = False,
) -> None:
    """Show lines in quarantine with file, line, field and reason.

    Example: `journeymart quarantine list --source transactions --reason amount`
    """
    from journeymart.landing.quarantine import Filter, quarantined

    chosen = Filter(file, source, reason)
    lines = quarantined(chosen, limit=limit, unmasked=unmasked)
    if as_json:
        write_json(lines)
        return
    for line in lines:
        print(one_line(f"{line.path}:{line.line_no} [{line.file_id}] {line.field or '-'}: {line.reason}"))
        if line.line is not None:
            print(one_line(f"    {line.line}"))
    if not lines:
        print("No such line is in quarantine." if chosen.options else "Nothing is in quarantine.")


@app.command()
def replay(
    file: File = None,
    source: OnlySource = None,
    reason: Reason = None,
    landing: Landing = None,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Read quarantined lines again under the rules of now and land those that are good.

    They keep their file and line number; the next run publishes them. Ends with 1 if a file cannot be read again.

    Example: `journeymart quarantine replay --source transactions --reason currency`
    """
    from journeymart.landing.quarantine import Filter
    from journeymart.landing.quarantine import replay as again
    from journeymart.settings import Settings

    settings = Settings.load()
    chosen = Filter(file, source, reason)
    run_id = new_run_id("replay")
    results = []
    for result in again(landing or settings.landing, run_id, chosen, definitions=definitions, settings=settings):
        results.append(result)
        if not as_json:
            print(
                f"{result.rows_loaded:>8,} of {result.lines:,} lines are good now,"
                f" {result.rows_quarantined:,} stay in quarantine  {one_line(result.path)}"
            )
        if result.error:
            print(result.error, file=sys.stderr)
    if as_json:
        write_json(results)
    elif not results:
        print("No such line is in quarantine." if chosen.options else "Nothing is in quarantine.")
    if any(result.error for result in results):
        raise typer.Exit(1)
