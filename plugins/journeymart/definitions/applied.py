"""The definitions that decide the mart's numbers, as plain values for schema config."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from journeymart.definitions.cohorts import CohortsFile
from journeymart.definitions.conditions import Condition
from journeymart.definitions.funnels import FunnelsFile
from journeymart.definitions.loader import load_yaml
from journeymart.definitions.sessions import SessionsFile


@dataclass(frozen=True)
class Definitions:
    """`content` by (kind, id), as `config.definition` keeps it; `conditions` by id, to be compiled."""

    content: dict[tuple[str, str], dict[str, Any]]
    conditions: dict[str, Condition]


# The definitions that have steps or conditions: their files, by kind.
KINDS: dict[str, type[BaseModel]] = {"funnels": FunnelsFile, "cohorts": CohortsFile}


def load_definitions(directory: Path | None = None) -> Definitions:
    """Read every definition, from `directory` where it has the file and from the shipped ones otherwise.

    Raises DefinitionError with file and line of every mistake.
    """
    sessions = load_yaml("sessions", directory).parse(SessionsFile).sessions
    content: dict[tuple[str, str], dict[str, Any]] = {("sessions", "sessions"): sessions.content()}
    conditions: dict[str, Condition] = {}
    for kind, file in KINDS.items():
        document = load_yaml(kind, directory)
        for number, item in enumerate(getattr(document.parse(file), kind)):
            if (kind, item.id) in content:
                raise document.error((kind, number, "id"), f"{item.id} is there twice")
            content[kind, item.id] = item.content()
            conditions |= {condition.condition_id: condition for condition in item.conditions()}
    return Definitions(content, conditions)
