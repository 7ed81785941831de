"""`journeymart dashboards`: Superset's assets from the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from journeymart.cli.common import Json, directory, group, write_json

app = group("dashboards", "Superset dashboards as code (docker/superset/assets).", "dashboards apply")


@app.command()
def apply(
    definitions: Annotated[
        Path | None, directory("Directory of definitions with packs.yml.  [default: the shipped ones]")
    ] = None,
    editable: Annotated[
        bool, typer.Option("--editable", help="Let administrators edit them in the browser, until the next apply.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Import database, datasets, charts and dashboards into Superset, and remove what is gone from the repository.

    A dashboard is made of every pack. Applying again changes nothing.

    Example: `journeymart dashboards apply`
    """
    from journeymart.settings import Settings
    from journeymart.superset.apply import apply as apply_assets

    applied = apply_assets(Settings.load(), definitions=definitions, is_editable=editable)
    if as_json:
        write_json(applied)
        return
    print("imported: " + ", ".join(f"{number} {kind}" for kind, number in applied.imported.items()))
    for kind, titles in applied.removed.items():
        for title in titles:
            print(f"removed {kind}: {title}")
    for url in applied.dashboards:
        print(url)


@app.command()
def pull(as_json: Json = False) -> None:
    """Write what was edited in the browser (after `apply --editable`) into docker/superset/assets, for git diff.

    Example: `journeymart dashboards pull`
    """
    from journeymart.settings import Settings
    from journeymart.superset.pull import pull as pull_assets

    pulled = pull_assets(Settings.load())
    if as_json:
        write_json(pulled)
        return
    for name in pulled.changed:
        print(f"changed: {name}")
    for note in pulled.notes:
        print(f"not brought back: {note}")
    if not pulled.changed and not pulled.notes:
        print("Nothing was edited.")
