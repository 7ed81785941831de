"""`journeymart identity`: decide whom the sessions of a device do not belong to."""

from __future__ import annotations

from typing import Annotated

import typer

from journeymart.cli.common import Json, group, write_json
from journeymart.identity import link, unlink
from journeymart.settings import Settings

app = group("identity", "Whom sessions belong to; see mart.identity.", "identity link --visitor v-123")

Visitor = Annotated[str, typer.Option(help="The visitor_id of the device.")]


@app.command("unlink")
def unlink_(
    visitor: Visitor, reason: Annotated[str, typer.Option(help="Why; it is kept.")], as_json: Json = False
) -> None:
    """From the next run on, sessions without a login on this device belong to nobody.

    Example: `journeymart identity unlink --visitor v-123 --reason "branch kiosk"`
    """
    unlink(Settings.load(), visitor, reason)
    _show(visitor, "unlinked", as_json)


@app.command("link")
def link_(visitor: Visitor, as_json: Json = False) -> None:
    """Take the decision back.

    Example: `journeymart identity link --visitor v-123`
    """
    link(Settings.load(), visitor)
    _show(visitor, "linked", as_json)


def _show(visitor: str, decision: str, as_json: bool) -> None:
    if as_json:
        write_json({"visitor_id": visitor, "decision": decision})
    else:
        print(f"{visitor}: {decision}; the next run publishes it")
