"""`journeymart land` loads what has arrived; `journeymart files` shows the ledger."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import datetime
from typing import Annotated, Any

import typer

from journeymart.cli.common import Definitions, Json, Landing, number, write_json
from journeymart.cli.sources import OnlySource
from journeymart.errors import one_line
from journeymart.runs import new_run_id

app = typer.Typer()

AGAIN = typer.Option(
    help="Try rejected files once more; then read those again, from the archive, that were landed under another plan."
)


@app.command()
def land(
    landing: Landing = None,
    source: OnlySource = None,
    definitions: Definitions = None,
    again: Annotated[bool, AGAIN] = False,
    as_json: Json = False,
) -> None:
    """Load every complete file of the landing zone that is not in the ledger yet.

    Ends with 1 if a file was rejected or failed; the others are loaded all the same.

    Example: `journeymart land --landing /data/landing --source clickstream`
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from journeymart.landing import FileResult
    from journeymart.landing import land as load
    from journeymart.landing.again import land_again as load_again
    from journeymart.settings import Settings

    settings = Settings.load()
    run_id = new_run_id("land")
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), console=console,
        disable=not console.is_terminal, transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("landing", total=None)

        def progress(result: FileResult, done: int, total: int) -> None:
            bar.update(task, description=one_line(result.path), completed=done, total=total)

        results = load(
            landing or settings.landing,
            run_id,
            source=source,
            again=again,
            definitions=definitions,
            settings=settings,
            progress=progress,
        )
        if again:
            for result in load_again(
                landing or settings.landing, run_id, source=source, definitions=definitions, settings=settings
            ):
                results.append(result)
                bar.update(task, description=one_line(result.path), total=None)
    if as_json:
        write_json({"run_id": run_id, "files": results})
    for result in results:
        if result.error:
            print(result.error, file=sys.stderr)
    if not as_json:
        counts = Counter(result.status for result in results)
        parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no new files"
        rows = sum(result.rows_loaded for result in results)
        quarantined = sum(result.rows_quarantined for result in results)
        print(f"{parts}; {rows:,} rows loaded, {quarantined:,} in quarantine")
    if any(result.is_failure for result in results):
        raise typer.Exit(1)


COLUMNS = (
    "file_id", "source", "path", "status", "rows_read", "rows_loaded", "rows_quarantined", "rows_duplicate", "rows_bot",
    "rows_mart", "loaded_at", "error",
)  # fmt: skip


@app.command()
def files(
    source: OnlySource = None,
    limit: Annotated[int, number("How many files, the latest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the file ledger, the latest file first.

    Example: `journeymart files --source transactions --limit 10`
    """
    from psycopg import sql

    from journeymart.db import connect

    query = sql.SQL(
        "select {} from raw.file where %(source)s::text is null or source = %(source)s"
        " order by file_id desc limit %(limit)s"
    ).format(sql.SQL(", ").join(map(sql.Identifier, COLUMNS)))
    with connect("jm_auditor", autocommit=True) as warehouse:
        rows = warehouse.execute(query, {"source": source, "limit": limit}).fetchall()
    if as_json:
        write_json([dict(zip(COLUMNS, row, strict=True)) for row in rows])
        return
    _print_table(rows)


def _print_table(rows: list[tuple[Any, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column == "file_id" or column.startswith("rows_") else "left")
    for row in rows:
        table.add_row(*("" if value is None else _shown(value) for value in row))
    Console(markup=False, width=None if sys.stdout.isatty() else 240).print(table)


def _shown(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else one_line(str(value))
