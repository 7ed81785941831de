"""The definitions that decide the mart's numbers, as plain values for schema config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from journeymart.definitions.conditions import Condition
from journeymart.definitions.funnels import FunnelsFile
from journeymart.definitions.loader import load_yaml
from journeymart.definitions.sessions import SessionsFile


@dataclass(frozen=True)
class Definitions:
    """`content` by (kind, id), as `config.definition` keeps it; `conditions` by id, to be compiled."""

    content: dict[tuple[str, str], dict[str, Any]]
    conditions: dict[str, Condition]


def load_definitions(directory: Path | None = None) -> Definitions:
    """Read every definition, from `directory` where it has the file and from the shipped ones otherwise.

    Raises DefinitionError with file and line of every mistake.
    """
    sessions = load_yaml("sessions", directory).parse(SessionsFile).sessions
    document = load_yaml("funnels", directory)
    funnels = document.parse(FunnelsFile).funnels
    content: dict[tuple[str, str], dict[str, Any]] = {("sessions", "sessions"): sessions.content()}
    conditions: dict[str, Condition] = {}
    for number, funnel in enumerate(funnels):
        if ("funnels", funnel.id) in content:
            raise document.error(("funnels", number, "id"), f"the funnel {funnel.id} is there twice")
        content["funnels", funnel.id] = funnel.content()
        conditions |= {condition.condition_id: condition for condition in funnel.conditions()}
    return Definitions(content, conditions)
