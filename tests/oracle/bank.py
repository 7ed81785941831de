"""A batch of logs in a published mart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from tests.oracle import funnels, logs
from tests.oracle.funnels import Entry
from tests.oracle.logs import Session

from journeymart.definitions.funnels import Funnel
from journeymart.definitions.rules import Rule
from journeymart.settings import Settings

Case = tuple[int, list[Session], random.Random]


@dataclass
class Bank:
    """The mart, and the logs as the reference sees them: sessions and events of each; what is applied."""

    connection: psycopg.Connection
    number: int
    sessions: list[list[Session]]
    events: list[list[funnels.Event]]
    funnels: list[Funnel]
    content: dict[str, dict[str, Any]]  # as it stands in funnels.yml, by id
    rules: tuple[Rule, ...]
    cells: dict[str, dict[str, Any]]  # what a segment of one cell of a report asks for, by id
    settings: Settings
    definitions: Path

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """What the reference says of all logs, by funnel."""
        return {
            funnel.id: [entry for log in self.events for entry in funnels.entries(funnel, log)]
            for funnel in self.funnels
        }

    @cached_property
    def watermark(self) -> datetime:
        """The latest event."""
        return max(event.at for log in self.events for event in log)

    def cases(self) -> Iterator[Case]:
        """Each log with a source of chance of its own for the arguments."""
        for number, sessions in enumerate(self.sessions):
            yield number, sessions, random.Random(f"{self.number}-{number}")

    def call(self, function: str, log: int | None, **arguments: Any) -> list[tuple[Any, ...]]:
        """What an analysis says of one log, or of all."""
        if log is not None:
            arguments |= {"from_date": logs.date_of(log), "to_date": logs.date_of(log)}
        named = ", ".join(f'"{name}" => %({name})s' for name in arguments)
        return self.connection.execute(f"select * from mart.{function}({named})", arguments).fetchall()  # noqa: S608
