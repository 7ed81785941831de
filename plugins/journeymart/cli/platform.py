"""Commands of the local platform: up, down, status, psql."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Literal

import typer

from journeymart.cli.common import Json, number, write_json
from journeymart.platform import local
from journeymart.platform.postgres import Postgres
from journeymart.settings import WAREHOUSE_ROLES, Settings

app = typer.Typer()


@app.command()
def up(
    only: Annotated[Literal["postgres"] | None, typer.Option(help="Start this part alone.")] = None,
    port_base: Annotated[
        int | None,
        number(
            "PostgreSQL's port; Airflow and Superset take the next two.  [default: 54320]",
            least=local.LOWEST_PORT_BASE,
            most=local.HIGHEST_PORT_BASE,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start PostgreSQL, Airflow and Superset on this machine and wait until they are healthy.

    Example: `journeymart up --port-base 54320`
    """
    settings = local.up(_report, port_base=port_base, only_postgres=only == "postgres")
    services = local.status(settings)
    _print_status(services, as_json)
    if as_json or only == "postgres":
        return
    if sys.stdout.isatty():
        for name in ("airflow", "superset"):
            print(f"{name} login: admin / {settings.secret(f'{name.upper()}_ADMIN_PASSWORD')}")
        print(f"Whoever changes one says it in {settings.home / 'secrets.env'}, too: commands and DAGs log in with it.")
    else:
        print(f"The admin passwords are in {settings.home / 'secrets.env'}")


@app.command()
def down(as_json: Json = False) -> None:
    """Stop everything that `up` started; the data stays.

    Example: `journeymart down`
    """
    local.down(_report)
    if as_json:
        _print_status(local.status(Settings.load()), as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Show each service's address and whether it is healthy.

    Example: `journeymart status --json`
    """
    _print_status(local.status(Settings.load()), as_json)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(
    context: typer.Context,
    role: Annotated[str, typer.Option(help=f"One of {', '.join(WAREHOUSE_ROLES)}.")] = "jm_dashboard",
) -> None:
    """Open psql on the platform's database; other arguments are psql's own.

    Example: `journeymart psql --role jm_auditor -c "select * from raw.file"`
    """
    if role not in WAREHOUSE_ROLES:
        raise typer.BadParameter(f"one of {', '.join(WAREHOUSE_ROLES)}", param_hint="--role")
    command, environment = Postgres(Settings.load()).psql(role)
    os.execve(command[0], [*command, *context.args], environment)  # noqa: S606 (an argument list, no shell)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_status(services: dict[str, dict[str, str | bool]], as_json: bool) -> None:
    if as_json:
        write_json(services)
        return
    for name, service in services.items():
        print(f"{name:10} {'healthy' if service['healthy'] else 'down':8} {service['url']}")
