"""`journeymart report`: what departments are given without asking; the DAG department_reports does the same."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from journeymart.cli.common import Definitions, Json, day, write_json
from journeymart.settings import Settings

app = typer.Typer()


@app.command()
def report(
    pack_id: Annotated[str | None, typer.Option("--id", help="Only this pack.  [default: all that have one]")] = None,
    as_of: Annotated[
        date | None, day("The report that was due on this date.  [default: the date the data have come to]", "--as-of")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Make and mail it although it is there already.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Make none; show what has been made and sent.")] = False,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Make the reports of departments that are due, and mail those that have recipients.

    Example: `journeymart report --id PK-ACCOUNT-OPEN --as-of 2026-06-08`
    """
    from journeymart import reports

    settings = Settings.load()
    if listed:
        rows = reports.record(settings)
        if as_json:
            write_json(rows)
            return
        for row in rows:
            sent = f"sent to {row['recipients']} at {row['sent_at']:%Y-%m-%d %H:%M}" if row["sent_at"] else "not sent"
            state = row["error"] or ("not made" if row["made_at"] is None else sent)
            print(f"{row['from_date']} – {row['to_date']}  {row['pack_id']:24}  {state}")
        if not rows:
            print("No report has been made.")
        return
    found = reports.deliver(settings, pack_id=pack_id, as_of=as_of, again=again, definitions=definitions)
    if as_json:
        write_json(found)
        return
    for item in found:
        print(f"{item.state:8} {item.from_date} – {item.to_date}  {item.pack_id:24}  {item.folder}")
    if not found:
        print("packs.yml defines no reports")
