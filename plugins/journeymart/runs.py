"""Names of runs that are started by hand; Airflow names its own."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def new_run_id(kind: str = "manual") -> str:
    """What it is, its start in UTC, and a few digits against two in one second."""
    return f"{kind}-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
