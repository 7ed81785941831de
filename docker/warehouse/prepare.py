"""Bring roles, databases, schemas, tables and grants of the warehouse to this version.

Run by the warehouse environment's Python as jm_admin, with every role's password set. Safe to repeat.
"""

from journeymart.platform.postgres import Postgres
from journeymart.settings import Settings

if __name__ == "__main__":
    Postgres(Settings.load()).provision()
