"""`journeymart canary`: test customers whose journeys are made every day, and whether dashboards show them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

from journeymart.cli.common import Definitions, Json, day, group, new_directory, write_json
from journeymart.settings import Settings

app = group("canary", "What happened, as the system shows it: canary customers (canaries.yml).", "canary check")


@app.command("send")
def send(
    at: Annotated[date | None, day("Day of the journeys.  [default: today]", "--date")] = None,
    landing: Annotated[Path | None, new_directory("Landing zone.  [default: $JOURNEYMART_HOME/landing]")] = None,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Write the lines of the journeys that are over by now into the landing zone, each day's once.

    Example: `journeymart canary send`
    """
    from journeymart import canaries

    settings = Settings.load()
    sent = canaries.send(settings, landing or settings.landing, at, definitions)
    if as_json:
        write_json({"sent": sent})
        return
    for item in sent:
        print(f"{item.canary_id} {item.canary_date}: {', '.join(item.files) or 'a robot makes the journey'}")
    if not sent:
        print("Nothing is to be sent: it has been, or the journeys are not over yet.")


@app.command("check")
def check(
    at: Annotated[
        date | None, day("Day of the journeys.  [default: the last that has to be seen by now]", "--date")
    ] = None,
    definitions: Definitions = None,
    as_json: Json = False,
) -> None:
    """Compare what canaries did with what the published mart shows; ends with 1 and the hop if something is missing.

    Example: `journeymart canary check --date 2026-06-02`
    """
    from journeymart import canaries

    outcomes = canaries.check(Settings.load(), at, definitions)
    if as_json:
        write_json({"canaries": outcomes})
    else:
        for outcome in outcomes:
            if not outcome.missing:
                print(outcome)
        if not outcomes:
            print("No canary has to be seen yet.")
    canaries.require(outcomes)
