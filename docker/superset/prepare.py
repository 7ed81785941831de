"""Bring Superset's metadata database to this version, and create the administrator if there is none.

Run by Superset's Python, with superset_config.py on the path and SUPERSET_ADMIN_PASSWORD set. Safe to repeat.
One process for all three steps, and no password among the arguments, where every user of the machine could see it.
"""

import os

from flask_migrate import upgrade
from superset.app import create_app
from superset.extensions import security_manager


def main() -> None:
    """Migrate, synchronise roles and permissions, create the administrator."""
    app = create_app()
    with app.app_context():
        upgrade()
    # Permissions are found while the application starts, on tables the migration has only now created.
    app = create_app()
    with app.app_context():
        app.appbuilder.add_permissions(update_perms=True)
        security_manager.sync_role_definitions()
        if security_manager.find_user("admin") is None:
            security_manager.add_user(
                "admin",
                "Admin",
                "journeymart",
                "admin@localhost.localdomain",
                security_manager.find_role("Admin"),
                password=os.environ["SUPERSET_ADMIN_PASSWORD"],
            )


if __name__ == "__main__":
    main()
