"""The definitions that decide the mart's numbers, as plain values for schema config."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from journeymart.definitions.audiences import AudiencesFile, unknown_references
from journeymart.definitions.channels import ChannelsFile
from journeymart.definitions.cohorts import CohortsFile
from journeymart.definitions.conditions import Condition
from journeymart.definitions.exchange_rates import KIND as EXCHANGE_RATES
from journeymart.definitions.exchange_rates import ExchangeRatesFile
from journeymart.definitions.funnels import FunnelsFile
from journeymart.definitions.kpis import KpisFile
from journeymart.definitions.loader import DefinitionError, Document, load_yaml, suggestion
from journeymart.definitions.messages import MessagesFile
from journeymart.definitions.rules import RulesFile, parse_rules
from journeymart.definitions.segments import Segment, SegmentsFile
from journeymart.definitions.sessions import SessionsFile
from journeymart.definitions.sources import load_sources
from journeymart.definitions.transactions import load_transactions


@dataclass(frozen=True)
class Definitions:
    """`content` by (kind, id), as `config.definition` keeps it; `conditions` by id, to be compiled."""

    content: dict[tuple[str, str], dict[str, Any]]
    conditions: dict[str, Condition]


# The definitions that have steps or conditions: their files, by kind.
KINDS: dict[str, type[BaseModel]] = {
    "funnels": FunnelsFile, "cohorts": CohortsFile, "messages": MessagesFile, "rules": RulesFile,
    "segments": SegmentsFile, "kpis": KpisFile, "audiences": AudiencesFile,
}  # fmt: skip


def load_definitions(directory: Path | None = None) -> Definitions:
    """Read every definition, from `directory` where it has the file and from the shipped ones otherwise.

    Raises DefinitionError with file and line of every mistake.
    """
    sessions = load_yaml("sessions", directory).parse(SessionsFile).sessions
    content: dict[tuple[str, str], dict[str, Any]] = {("sessions", "sessions"): sessions.content()}
    content["channels", "channels"] = load_yaml("channels", directory).parse(ChannelsFile).content()
    content |= load_yaml(EXCHANGE_RATES, directory).parse(ExchangeRatesFile).content()
    conditions: dict[str, Condition] = {}
    sources = load_sources(directory)
    expected = {name: source.expect_every for name, source in sources.sources.items()}
    if every := {name: time.total_seconds() for name, time in expected.items() if time}:
        content["sources", "expect_every"] = every
    if done := load_transactions(directory, sources).done_results:
        content["transactions", "done_results"] = {"codes": done}
    for kind, file in KINDS.items():
        document = load_yaml(kind, directory)
        parsed = document.parse(file)
        items = parse_rules(document) if kind == "rules" else getattr(parsed, kind)
        if isinstance(parsed, MessagesFile):
            content["contacts", "contacts"] = parsed.content()
        for number, item in enumerate(items):
            if (kind, item.id) in content:
                raise document.error((kind, number, "id"), f"{item.id} is there twice")
            unknown = list(unknown_references(number, item, content)) if kind == "audiences" else []
            if unknown and directory is not None and directory not in document.path.parents:
                continue  # a shipped audience of a definition that this directory replaces
            if unknown:
                raise DefinitionError([f"{document.where(place)}: {message}" for place, message in unknown])
            content[kind, item.id] = item.content()
            conditions |= {condition.condition_id: condition for condition in item.conditions()}
            if kind == "rules" and item.action and item.action.message_id:
                _require_message(document, number, item.action.message_id, content)
            if kind == "segments":
                _require_reports(document, number, item, content)
            if kind == "rules":  # the report of its steps is a funnel like any other
                content["funnels", item.id] = item.funnel().content()
    return Definitions(content, conditions)


def _require_reports(
    document: Document, number: int, segment: Segment, content: dict[tuple[str, str], dict[str, Any]]
) -> None:
    reason = segment.unusable_report({name: item for (kind, name), item in content.items() if kind == "funnels"})
    if reason:
        raise document.error(("segments", number), reason)


def _require_message(document: Document, number: int, message_id: str, content: Collection[tuple[str, str]]) -> None:
    known = [definition_id for kind, definition_id in content if kind == "messages"]
    if message_id not in known:
        place = ("rules", number, "action", "message_id")
        raise document.error(place, f"messages.yml has no {message_id}{suggestion(message_id, known)}")
