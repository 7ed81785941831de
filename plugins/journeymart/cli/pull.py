"""`journeymart pull` brings what is new in other databases into the landing zone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from journeymart.cli.common import Definitions, Json, new_directory, write_json

app = typer.Typer()

ONLY = typer.Option("--only", help="Only this pull of databases.yml.")


@app.command()
def pull(
    landing: Annotated[Path | None, new_directory("Landing zone.  [default: $JOURNEYMART_HOME/landing]")] = None,
    only: Annotated[str | None, ONLY] = None,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Pull new rows of other databases into the landing zone, as definitions/databases.yml says.

    Ends with 1 if a database could not be pulled from; the others are pulled all the same.

    Example: `AIRFLOW_CONN_CORE_BANKING=postgresql://reader@core/ledger journeymart pull --only core_transactions`
    """
    from journeymart.landing.pull import pull as bring
    from journeymart.settings import Settings

    settings = Settings.load()
    results = bring(landing or settings.landing, only=only, definitions=definitions, settings=settings)
    if as_json:
        write_json({"pulls": results})
    for result in results:
        if result.error:
            print(result.error, file=sys.stderr)
        elif not as_json:
            print(f"{result.name}: {result.rows:,} rows in {len(result.files):,} files")
    if not as_json and not results:
        print("databases.yml defines no pulls")
    if any(result.error for result in results):
        raise typer.Exit(1)
