"""definitions/canaries.yml: test customers whose journeys are made every day, and what must be seen of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from journeymart.definitions.applied import load_definitions
from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import (
    DefinitionModel,
    Document,
    Label,
    Location,
    fitting,
    load_yaml,
    suggestion,
)
from journeymart.definitions.sources import Source, load_sources
from journeymart.definitions.transactions import load_transactions

SourceName = Literal[
    "clickstream", "transactions", "consultations", "campaign_sends", "subscriptions", "survey_responses"
]
# What journeymart fills in of a line, by source: id, time, customer, device. Consents are not among them: a canary has
# none, so that no audience and no trigger with a purpose ever takes it.
FILLED: dict[SourceName, tuple[str, ...]] = {
    "clickstream": ("event_id", "event_time", "customer_id", "visitor_id"),
    "transactions": ("transaction_id", "transaction_time", "customer_id"),
    "consultations": ("consultation_id", "consulted_at", "customer_id"),
    "campaign_sends": ("send_id", "sent_at", "customer_id"),
    "subscriptions": ("subscription_id", "subscribed_at", "customer_id"),
    "survey_responses": ("response_id", "responded_at", "customer_id"),
}
DATE = "{date}"
Kind = Literal["behaviour", "transaction", "consultation", "campaign", "subscription", "survey"]
# `{date}` in it becomes the day: a customer or device of that day alone.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*(\{date\})?[A-Za-z0-9._-]*$", min_length=1, max_length=80)]


class Step(DefinitionModel):
    """A line of a source: when on the day it happens, and what it says besides its id and whose it is."""

    source: SourceName
    at: time
    fields: dict[str, Any] = Field(default_factory=dict)


class Session(DefinitionModel):
    """A session that must be seen: its nodes in order, repeats collapsed, and its transactions."""

    path: Annotated[tuple[str, ...], Field(min_length=1)]
    transactions: Annotated[int, Field(ge=0)] = 0


class Expectation(DefinitionModel):
    """What must be seen of the day: every session, entries of the timeline by kind, steps of funnels, hits of rules."""

    sessions: tuple[Session, ...] = ()
    timeline: Annotated[dict[Kind, Annotated[int, Field(ge=1)]], Field(min_length=1)]
    funnels: dict[str, Annotated[int, Field(ge=1, le=32)]] = Field(default_factory=dict)
    rules: tuple[str, ...] = ()


class Canary(DefinitionModel):
    """A test customer with a device; without steps a robot makes the journey on the real channels."""

    id: Annotated[str, Field(pattern=r"^CN-[A-Z0-9-]{1,40}$")]
    label: Label
    customer_id: Name
    visitor_id: Name
    within: Duration  # from being sent to being seen
    steps: tuple[Step, ...] = ()
    expect: Expectation

    @model_validator(mode="after")
    def _in_order(self) -> Canary:
        for number, (before, step) in enumerate(zip(self.steps, self.steps[1:], strict=False), start=1):
            if step.at <= before.at:
                raise ValueError(f"steps.{number}: must come after the step before")
        return self

    def named(self, name: str, day: date) -> str:
        """The customer or device of a day."""
        return name.replace(DATE, f"{day:%Y%m%d}")

    def lines(self, day: date, zone: ZoneInfo) -> dict[str, list[dict[str, Any]]]:
        """The lines of a day by source: the same for the same day, so that what is sent twice counts once."""
        found: dict[str, list[dict[str, Any]]] = {}
        for number, step in enumerate(self.steps, start=1):
            values = (
                f"{self.id}-{day:%Y%m%d}-{number}",
                datetime.combine(day, step.at, zone).isoformat(),
                self.named(self.customer_id, day),
                self.named(self.visitor_id, day),
            )
            filled = dict(zip(FILLED[step.source], values, strict=False))
            found.setdefault(step.source, []).append(filled | step.fields)
        return found


class CanariesFile(DefinitionModel):
    """The file as a whole."""

    canaries: tuple[Canary, ...] = ()


def load_canaries(directory: Path | None = None) -> tuple[Canary, ...]:
    """The canaries of `directory`, else the shipped ones as far as they fit its other definitions.

    Raises DefinitionError with file and line of every mistake.
    """
    document = load_yaml("canaries", directory)
    canaries = document.parse(CanariesFile).canaries
    known = _Known.read(directory)
    return fitting(document, canaries, lambda number: _problems(document, number, canaries, known), directory)


@dataclass(frozen=True)
class _Known:
    """What a canary may name: sources with their fields, transaction codes (None: any), definitions by kind and id."""

    sources: Mapping[str, Source]
    codes: list[str] | None
    definitions: list[tuple[str, str]]

    @classmethod
    def read(cls, directory: Path | None) -> Self:
        plan = load_sources(directory)
        catalogue = load_transactions(directory, plan)
        codes = None if catalogue.unknown_codes == "load" else list(catalogue.transactions)
        return cls(plan.sources, codes, list(load_definitions(directory).content))

    def ids(self, kind: str) -> list[str]:
        return [definition_id for known, definition_id in self.definitions if known == kind]


def _problems(document: Document, number: int, canaries: tuple[Canary, ...], known: _Known) -> Iterator[str]:
    canary = canaries[number]

    def problem(place: Location, text: str) -> str:
        return f"{document.where(('canaries', number, *place))}: {text}"

    for name in ("id", "customer_id", "visitor_id"):
        if getattr(canary, name) in [getattr(other, name) for other in canaries[:number]]:
            yield problem((name,), f"{getattr(canary, name)} is another canary's")
    for kind, named in (("funnels", canary.expect.funnels), ("rules", canary.expect.rules)):
        for place, definition_id in enumerate(named):
            if definition_id not in known.ids(kind):
                at = definition_id if kind == "funnels" else place
                near = suggestion(definition_id, known.ids(kind))
                yield problem(("expect", kind, at), f"{kind}.yml has no {definition_id}{near}")
    for place, step in enumerate(canary.steps):
        for inside, text in _mistakes(step, known):
            yield problem(("steps", place, *inside), text)


def _mistakes(step: Step, known: _Known) -> Iterator[tuple[Location, str]]:
    """What would keep a line from being landed as it is meant."""
    source, filled = known.sources[step.source], FILLED[step.source]
    if source.format not in {"by_name", "ndjson"}:
        yield ("source",), f"{step.source} is landed as {source.format}: let a robot make this journey"
    for name in (*filled, *step.fields):
        field = source.fields.get(name)
        if field is None or (name in filled and name in step.fields):
            usable = set(source.fields) - set(filled)
            yield ("fields", name), f"is no field to fill in of {step.source}{suggestion(name, usable)}"
        elif field.columns(name)[:1] != [name] or field.values or field.time != "iso":
            yield ("source",), f"sources.yml takes {name} from something else: let a robot make this journey"
        elif name in step.fields and field.allowed and step.fields[name] not in field.allowed:
            yield ("fields", name), f"must be one of {', '.join(field.allowed)}"
    for name, field in source.fields.items():
        if field.required and name not in (*filled, *step.fields):
            yield ("fields",), f"{step.source} needs {name}"
    code = step.fields.get("transaction_code")
    if step.source == "transactions" and known.codes is not None and code is not None and code not in known.codes:
        yield ("fields", "transaction_code"), f"no transaction code '{code}' is defined{suggestion(code, known.codes)}"
