"""definitions/sessions.yml: how events become sessions, and what a path is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import DefinitionModel, load_yaml


def _zone(value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ValueError, ZoneInfoNotFoundError):
        raise ValueError(f"unknown time zone {value!r}") from None


class TransactionPolicy(DefinitionModel):
    """When a transaction belongs to a session of its customer."""

    channels: tuple[Annotated[str, Field(pattern=r"^[a-z_]+$")], ...] = ("web", "app")
    tolerance: Duration = timedelta(minutes=30)


class SessionPolicy(DefinitionModel):
    """The one policy of an installation; `content()` is what the dbt models read."""

    timeout: Duration | None = timedelta(minutes=30)
    cut_at_midnight: bool = False
    cut_at_campaign: bool = False
    time_zone: Annotated[str, AfterValidator(_zone)] = "Asia/Seoul"
    exclude_bots: bool = True
    collapse_repeats: bool = True
    path_depth: Annotated[int, Field(ge=1)] | None = 10
    device_days: Annotated[int, Field(ge=0, le=365)] | None = None
    transactions: TransactionPolicy = TransactionPolicy()

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`; durations in seconds, null for none."""
        return {
            "timeout_seconds": None if self.timeout is None else self.timeout.total_seconds(),
            "cut_at_midnight": self.cut_at_midnight,
            "cut_at_campaign": self.cut_at_campaign,
            "time_zone": self.time_zone,
            "exclude_bots": self.exclude_bots,
            "collapse_repeats": self.collapse_repeats,
            "path_depth": self.path_depth,
            "device_days": self.device_days,
            "transaction_channels": list(self.transactions.channels),
            "transaction_tolerance_seconds": self.transactions.tolerance.total_seconds(),
        }


class SessionsFile(DefinitionModel):
    """The file as a whole."""

    sessions: SessionPolicy = SessionPolicy()


def time_zone(directory: Path | None = None) -> ZoneInfo:
    """Whose days the warehouse counts. Raises DefinitionError if sessions.yml cannot be used."""
    return ZoneInfo(load_yaml("sessions", directory).parse(SessionsFile).sessions.time_zone)
