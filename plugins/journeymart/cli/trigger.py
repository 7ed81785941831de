"""`journeymart trigger`: start the DAG now and wait for it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from journeymart.cli.common import Json, write_json
from journeymart.settings import Settings

app = typer.Typer()


@app.command()
def trigger(
    seconds: Annotated[float, typer.Option(help="How long to wait for the run to end.", min=1)] = 1800,
    as_json: Json = False,
) -> None:
    """Start the DAG customer_journey now, and wait until it has ended.

    Example: `journeymart trigger`
    """
    from journeymart.platform.dag import DagRunFailedError, run_dag

    settings = Settings.load()
    result = run_dag(settings, "customer_journey", seconds=seconds, report=lambda line: print(line, file=sys.stderr))
    if as_json:
        write_json(result)
    if result["state"] != "success":
        raise DagRunFailedError(f"the run ended as {result['state']}: see {result['url']}")
