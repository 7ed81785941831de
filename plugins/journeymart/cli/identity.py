"""`journeymart identity`: decide whom the sessions of a device do not belong to."""

from __future__ import annotations

from typing import Annotated

import typer

from journeymart.identity import link, unlink
from journeymart.settings import Settings

app = typer.Typer()
identity = typer.Typer(help="Whom sessions belong to; see mart.identity.", no_args_is_help=True)
app.add_typer(identity, name="identity")

Visitor = Annotated[str, typer.Option(help="The visitor_id of the device.")]


@identity.command("unlink")
def unlink_(visitor: Visitor, reason: Annotated[str, typer.Option(help="Why; it is kept.")]) -> None:
    """From the next run on, sessions without a login on this device belong to nobody.

    Example: `journeymart identity unlink --visitor v-123 --reason "branch kiosk"`
    """
    unlink(Settings.load(), visitor, reason)
    typer.echo(f"{visitor}: unlinked; the next run publishes it")


@identity.command("link")
def link_(visitor: Visitor) -> None:
    """Take the decision back.

    Example: `journeymart identity link --visitor v-123`
    """
    link(Settings.load(), visitor)
    typer.echo(f"{visitor}: linked again; the next run publishes it")
