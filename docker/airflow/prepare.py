"""Bring Airflow's metadata database to this version, and create the administrator if there is none.

Run by Airflow's Python, with Airflow's environment and AIRFLOW_ADMIN_PASSWORD set. Safe to repeat.
One process for both steps, and no password among the arguments, where every user of the machine could see it.
"""

import os

from airflow.cli.cli_parser import get_parser
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder


def run(*arguments: str) -> None:
    """Run one command of Airflow's command line in this process."""
    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)


def create_roles() -> None:
    """Roles that may do one thing each, all but Channel beside one that opens Airflow's pages, such as Viewer.

    Channel asks for pending triggers (plugins/journeymart/airflow/triggers.py), Marketer requests audiences
    (audiences.py there), Marketer and Analyst save segments (segments.py there), Access requester starts
    access_request, Access approver answers it and starts access_end.

    Airflow shows a plugin's pages only to who may read "Plugins", which neither Viewer nor User may; Data Docs, which
    hold no values, with them. Whoever starts a DAG or answers a task must be allowed to edit the DAG, too.
    """
    with get_application_builder() as builder:
        for action, page, role in (
            ("can_read", "journeymart triggers", "Channel"),
            ("can_create", "journeymart audiences", "Marketer"),
            ("can_create", "journeymart segments", "Marketer"),
            ("can_create", "journeymart segments", "Analyst"),
            ("can_read", "Plugins", "Marketer"),
            ("can_read", "Plugins", "Analyst"),
            ("can_edit", "DAG:access_request", "Access requester"),
            ("can_create", "DAG Run:access_request", "Access requester"),
            ("can_edit", "DAG:access_request", "Access approver"),
            ("can_edit", "HITL Detail", "Access approver"),
            ("menu_access", "HITL Detail", "Access approver"),
            ("can_edit", "DAG:access_end", "Access approver"),
            ("can_create", "DAG Run:access_end", "Access approver"),
        ):
            permission = builder.sm.create_permission(action, page)
            for name in (role, "Admin"):
                builder.sm.add_permission_to_role(builder.sm.add_role(name), permission)


def main() -> None:
    """Migrate, then create the administrator; an existing one keeps its password."""
    run("db", "migrate")
    run(
        "users", "create", "--username", "admin",
        f"--password={os.environ['AIRFLOW_ADMIN_PASSWORD']}",  # one that begins with - would be an option otherwise
        "--firstname", "Admin", "--lastname", "journeymart", "--role", "Admin",
        "--email", "admin@localhost.localdomain",
    )  # fmt: skip
    create_roles()


if __name__ == "__main__":
    main()
