"""definitions/audiences.yml: whom campaign systems are given, for what, how often, and who is kept back to compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from journeymart.definitions.cohorts import begin_of, shown_ages
from journeymart.definitions.conditions import Condition
from journeymart.definitions.durations import Cap, Duration
from journeymart.definitions.loader import DefinitionModel, Label, Location, suggestion
from journeymart.definitions.rules import Goal

AUDIENCE_ID = r"^AU-[A-Z0-9-]{1,60}$"
ATTRIBUTES = ("birth_year", "gender", "region", "grade", "investment_propensity", "joined_on")
Attribute = Annotated[str, Field(pattern=rf"^({'|'.join(ATTRIBUTES)}|attributes\.\w{{1,60}})$")]
Purpose = Annotated[str, Field(min_length=1, max_length=60)]
# What each origin says besides its name; the first of each is needed.
_ORIGINS: dict[str, tuple[str, ...]] = {
    "segment": (),
    "rule": ("within",),
    "funnel": ("step", "outcome", "within"),
    "cohort": ("start", "age", "returned"),
}
_KINDS = {"segment": "segments", "rule": "rules", "funnel": "funnels", "cohort": "cohorts"}


class Origin(DefinitionModel):
    """Where the customers come from: a segment, hits of a rule, a step of a funnel, or a cell of a cohort report."""

    segment: str | None = None
    rule: str | None = None
    funnel: str | None = None
    cohort: str | None = None
    within: Duration | None = None  # rule: since the hit; funnel: since the entry
    step: Annotated[int, Field(ge=1, le=32)] | None = None
    outcome: Literal["entered", "converted", "dropped", "still_open"] | None = None
    start: date | None = None  # the first day of the period in which they started
    age: Annotated[int, Field(ge=0, le=400)] | None = None
    returned: bool | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Origin:
        named = [kind for kind in _ORIGINS if getattr(self, kind) is not None]
        if len(named) != 1:
            raise ValueError(f"say exactly one of {', '.join(_ORIGINS)}, not {' and '.join(named) or 'nothing'}")
        own = _ORIGINS[named[0]]
        strange = self.model_fields_set - {named[0], *own}
        if strange:
            raise ValueError(f"{', '.join(sorted(strange))} does not belong to a {named[0]}")
        if own and getattr(self, own[0]) is None:
            raise ValueError(f"a {named[0]} needs {own[0]}")
        if self.returned is not None and self.age is None:
            raise ValueError("returned needs an age")
        return self

    @property
    def names(self) -> tuple[str, str]:
        """The kind of definition and the id that it refers to."""
        kind = next(kind for kind in _ORIGINS if getattr(self, kind) is not None)
        return _KINDS[kind], getattr(self, kind)


class Audience(DefinitionModel):
    """Customers that a campaign system is given, and kept up to date about."""

    id: Annotated[str, Field(pattern=AUDIENCE_ID)]
    label: Label
    owner: str
    purpose: Purpose  # the consent without which nobody is given away
    origin: Annotated[Origin, Field(alias="from")]
    columns: tuple[Attribute, ...] = ()
    schedule: Literal["run", "day", "week", "month"] = "day"
    suppress: tuple[str, ...] = ()  # segments
    max_contacts: Cap | None = None  # campaign sends; who has had as many is left out
    hold_out: Annotated[float, Field(ge=0, le=0.5)] = 0
    campaigns: tuple[str, ...] = ()  # campaign_id of the sends that are made with it
    goal: Goal | None = None
    file: bool = False

    @model_validator(mode="after")
    def _each_once(self) -> Audience:
        for name in ("columns", "suppress", "campaigns"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name}: the same is there twice")
        if self.origin.segment is not None and self.origin.segment in self.suppress:
            raise ValueError(f"suppress: {self.origin.segment} is the audience itself: nobody would be left")
        if self.hold_out and self.goal is None:
            raise ValueError("hold_out: without a goal there is nothing to compare")
        return self

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the audience needs matched."""
        return () if self.goal is None else (self.goal,)

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`."""
        origin, cap, goal = self.origin, self.max_contacts, self.goal
        return {
            "label": self.label.model_dump(),
            "owner": self.owner,
            "purpose": self.purpose,
            "segment": origin.segment,
            "rule": origin.rule,
            "funnel": origin.funnel,
            "cohort": origin.cohort,
            "looks_back_seconds": origin.within and origin.within.total_seconds(),
            "step": origin.step,
            "outcome": origin.outcome or "dropped",
            "start": origin.start and origin.start.isoformat(),
            "age": origin.age,
            "returned": origin.returned is not False,
            "columns": list(self.columns),
            "schedule": self.schedule,
            "suppress": list(self.suppress),
            "cap_times": cap and cap.times,
            "cap_seconds": cap and cap.per.total_seconds(),
            "hold_out": self.hold_out,
            "campaigns": list(self.campaigns),
            "goal": goal and {"condition_id": goal.condition_id, "within_seconds": goal.within.total_seconds()},
            "file": self.file,
        }


class AudiencesFile(DefinitionModel):
    """The file as a whole."""

    audiences: tuple[Audience, ...] = ()


def unknown_references(
    number: int, audience: Audience, known: Mapping[tuple[str, str], dict[str, Any]]
) -> Iterator[tuple[Location, str]]:
    """What the audience names that is not defined, or a step or cell that a report does not have: where, and what to
    say."""
    place: Location = ("audiences", number)
    kind, wanted = audience.origin.names
    references: list[tuple[Location, str, str]] = [((*place, "from", kind.removesuffix("s")), kind, wanted)]
    references += [((*place, "suppress", item), "segments", segment) for item, segment in enumerate(audience.suppress)]
    for at, of, name in references:
        if (of, name) not in known:
            names = [definition_id for other, definition_id in known if other == of]
            yield at, f"{of}.yml has no {name}{suggestion(name, names)}"
    if audience.origin.step is not None and (kind, wanted) in known:
        steps = len(known[kind, wanted]["steps"])
        if audience.origin.step > steps:
            yield (*place, "from", "step"), f"{wanted} has {steps} steps"
        outcome = audience.origin.outcome or "dropped"
        if audience.origin.step == steps and outcome in {"dropped", "still_open"}:
            key = "outcome" if audience.origin.outcome else "step"
            yield (
                (*place, "from", key),
                f"cannot be reached: nobody is {outcome} at step {steps}, the last of {wanted}: name an earlier step,"
                " or outcome: converted",
            )
    if (start := audience.origin.start) is not None and (kind, wanted) in known:
        cohort = known[kind, wanted]
        if begin_of(cohort["period"], start) != start:
            yield (*place, "from", "start"), f"no {cohort['period']} begins on {start}"
        age = audience.origin.age
        if age is not None and age not in shown_ages(cohort["mode"], cohort["ages"], cohort["brackets"]):
            yield (*place, "from", "age"), f"{wanted} has no age {age}"
