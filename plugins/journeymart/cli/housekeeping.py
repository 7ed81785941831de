"""`journeymart housekeeping`: files that are older than their source is kept go."""

from __future__ import annotations

from typing import Annotated

import typer

from journeymart.cli.common import Definitions, Json, write_json
from journeymart.errors import one_line

app = typer.Typer()


@app.command()
def housekeeping(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which files are due.")] = False,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Let files go that are older than their source is kept (`keep` in sources.yml): rows with the next run,
    quarantined lines and archive with the housekeeping after it.

    Example: `journeymart housekeeping --dry-run`
    """
    from journeymart.housekeeping import keep_house
    from journeymart.settings import Settings

    result = keep_house(Settings.load(), definitions=definitions, dry_run=dry_run)
    if as_json:
        write_json(result)
        return
    for path in result.expired:
        print(one_line(f"{path} {'would go' if dry_run else 'goes with the next run'}"))
    for path in result.cleared:
        print(one_line(f"{path} is gone from quarantine and archive"))
    for orphan in result.orphans:
        print(
            f"{orphan} is of no file in the ledger: its load was cut short. Put it into the landing zone if it is not"
            " there any more, or delete it"
        )
    if not (result.expired or result.cleared):
        print("No file is due.")
