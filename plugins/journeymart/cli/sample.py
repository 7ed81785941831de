"""`journeymart sample`: the synthetic bank."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import typer

from journeymart.cli.common import Json, day, new_directory, write_json

app = typer.Typer()


@app.command("sample")
def command(  # noqa: PLR0913, PLR0917 - the options of the command
    out: Annotated[Path, new_directory("Landing zone to write; created when absent.")],
    customers: Annotated[int, typer.Option(help="Customers of the bank.", min=10)] = 2000,
    days: Annotated[int, typer.Option(help="Days of data.", min=1)] = 14,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 7,
    events: Annotated[
        int | None,
        typer.Option(help="About so many clickstream lines: chooses the customers, and 300 screens.", min=1),
    ] = None,
    start: Annotated[date | None, day("First day.  [default: 2026-06-01]")] = None,
    file_format: Annotated[
        Literal["mixed", "ndjson", "csv", "parquet"],
        typer.Option("--format", help="Of the clickstream; mixed has some of each."),
    ] = "mixed",
    nodes: Annotated[int | None, typer.Option(help="Different screens, when more than the catalogue's.", min=1)] = None,
    from_day: Annotated[int, typer.Option(help="Write only the folders from this day (1…) on.", min=1)] = 1,
    file_events: Annotated[
        int | None, typer.Option(help="Cut the clickstream into files of so many lines: micro-batches.", min=1)
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a synthetic bank's landing files, and truth.json with what is planted in them.

    Example: `journeymart sample --out .local/landing --customers 2000 --days 14 --seed 7`

    One more day and a micro-batch of the same bank: `--days 31 --from-day 31`, and `--file-events 10000`.
    """
    from rich.console import Console
    from rich.progress import Progress

    from journeymart.sample.generate import (
        BENCHMARK_NODES,
        DEFAULT_START,
        TRUTH,
        Spec,
        customers_for,
        generate,
    )

    try:
        spec = Spec(
            out=out,
            customers=customers if events is None else customers_for(events, days),
            days=days,
            seed=seed,
            start=start or DEFAULT_START,
            file_format=file_format,
            nodes=nodes or (BENCHMARK_NODES if events else None),
            from_day=from_day,
            file_events=file_events,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("sample bank", total=days)
        try:
            truth = generate(spec, lambda done: bar.update(task, completed=done))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    result = {
        "out": str(out),
        "truth": str(out / TRUTH),
        "parameters": truth["parameters"],
        "clickstream": truth["clickstream"]["totals"],
        "sessions": truth["sessions"]["total"],
        "transactions": truth["transactions"]["accepted"],
    }
    if as_json:
        write_json(result)
        return
    totals = truth["clickstream"]["totals"]
    print(
        f"{out}: {spec.customers:,} customers, {days} days, {totals['lines']:,} clickstream lines "
        f"({totals['events']:,} events, {totals['bot']:,} of bots, {totals['duplicate']:,} duplicates, "
        f"{totals['broken']:,} broken), {truth['sessions']['total']:,} sessions, "
        f"{truth['transactions']['accepted']:,} transactions"
    )
    print(f"what is planted in it: {out / TRUTH}")
