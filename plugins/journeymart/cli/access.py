"""`journeymart access`: who may open what until when, and the first password of who is new."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from journeymart.cli.common import Json, group, write_json
from journeymart.settings import Settings

app = group("access", "Access to dashboards, asked for in Airflow; see docs/operate.md.", "access list")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """Show every request: who, which role, until when, by whom, and what became of it.

    Example: `journeymart access list`
    """
    from journeymart.access import grants

    found = grants(Settings.load())
    if as_json:
        write_json([{**vars(grant), "state": grant.state} for grant in found])
        return
    for grant in found:
        approved = f", approved by {grant.approved_by}" if grant.approved_by else ""
        print(
            f"{grant.state:8} {grant.user_name:20} {grant.role:28} until {grant.until_on}"
            f"  asked by {grant.requested_by}{approved}"
        )
    if not found:
        print("No access has been asked for.")


@app.command("password")
def password(
    user_name: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account that a grant has made.")],
) -> None:
    """Give a person a new password and show it once, on a terminal only; they change it under Settings → Info.

    Example: `journeymart access password kim.minji`
    """
    from journeymart.access import first_password

    if not sys.stdout.isatty():
        raise typer.BadParameter("a password is shown on a terminal only", param_hint="ACCOUNT")
    print(first_password(Settings.load(), user_name))
