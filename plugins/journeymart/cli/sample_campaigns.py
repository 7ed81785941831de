"""`journeymart sample-campaigns`: the campaign system of the synthetic bank."""

from __future__ import annotations

import typer

from journeymart.cli.common import Json, Landing, write_json
from journeymart.settings import Settings

app = typer.Typer()


@app.command("sample-campaigns")
def command(landing: Landing = None, as_json: Json = False) -> None:
    """Play the campaign system of the synthetic bank once: send to its audiences, show triggers, and answer.

    Its sends are a file in the landing zone, for the next run. For the demo; never where real receivers answer.

    Example: `journeymart sample-campaigns`
    """
    from journeymart.sample.campaigns import play

    settings = Settings.load()
    played = play(settings, landing or settings.landing)
    if as_json:
        write_json(played)
        return
    print(f"sent to {played.sent:,} customers of audiences, {played.shown:,} triggers shown")
