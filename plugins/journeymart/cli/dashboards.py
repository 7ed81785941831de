"""`journeymart dashboards`: Superset's assets from the repository."""

from __future__ import annotations

import json
from typing import Annotated

import typer

app = typer.Typer(name="dashboards", help="Superset dashboards as code.", no_args_is_help=True)


@app.callback()
def dashboards() -> None:
    """Superset dashboards as code (docker/superset/assets)."""


@app.command()
def apply(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Import database, datasets, charts and dashboards into Superset, and remove what is gone from the repository.

    Applying again changes nothing.

    Example: `journeymart dashboards apply`
    """
    from journeymart.settings import Settings  # noqa: PLC0415 - keeps --help quick
    from journeymart.superset.apply import apply as apply_assets  # noqa: PLC0415

    applied = apply_assets(Settings.load())
    if as_json:
        typer.echo(json.dumps(applied.to_json(), ensure_ascii=False))
        return
    typer.echo("imported: " + ", ".join(f"{number} {kind}" for kind, number in applied.imported.items()))
    for kind, titles in applied.removed.items():
        for title in titles:
            typer.echo(f"removed {kind}: {title}")
    for url in applied.dashboards:
        typer.echo(url)
