"""definitions/rules.yml: patterns over screens and transactions that are detected as they happen.

docs/semantics.md explains what each key means; dbt_project/macros/detection_walk.sql evaluates it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from journeymart.definitions.conditions import Condition, anything_of, check_names
from journeymart.definitions.durations import MAX_TIMES, Cap, Duration
from journeymart.definitions.fields import Source
from journeymart.definitions.funnels import Exclusion, Funnel, Step
from journeymart.definitions.loader import DefinitionError, DefinitionModel, Document, Label, Location
from journeymart.definitions.messages import Address, MessageId

Mistake = tuple[Location, str]


class Times(DefinitionModel):
    """How often a step must happen: at least `gte` times, and at most `lte` times before the next step."""

    gte: Annotated[int, Field(ge=1, le=MAX_TIMES)] = 1
    lte: Annotated[int, Field(ge=1, le=MAX_TIMES)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> Times:
        if self.lte is not None and self.lte < self.gte:
            raise ValueError(f"at least {self.gte} and at most {self.lte} is not possible")
        return self


class Habit(DefinitionModel):
    """A transaction of at least `times` the average amount of earlier ones like it, of which there are at least `least`
    within `over`."""

    times: Annotated[float, Field(gt=1, le=1000)]
    over: Duration
    least: Annotated[int, Field(ge=1, le=MAX_TIMES)] = 3


class RuleStep(DefinitionModel):
    """A step, or a `not`: what must not happen between the step before it and the step after it."""

    name: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    name_en: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    source: Source | None = None
    where: dict[str, Any] = Field(default_factory=dict)
    times: Times = Times()
    within: Duration | None = None
    optional: bool = False
    new_device: bool = False  # the first one on this device, when there were some on another one before
    above_habit: Habit | None = None
    not_: Condition | None = Field(default=None, alias="not")

    @model_validator(mode="after")
    def _one_or_the_other(self) -> RuleStep:
        if self.not_ is not None:
            if self.model_fields_set != {"not_"}:
                raise ValueError("a not stands alone; what belongs to it is written inside it")
            return self
        missing = [key for key in ("name", "source") if getattr(self, key) is None]
        if missing:
            raise ValueError(f"a step needs {' and '.join(missing)}")
        _ = self.condition  # is it one?
        if self.new_device and self.source != "screen":
            raise ValueError("new_device goes with source screen: other things have no device")
        if self.above_habit and self.source != "transaction":
            raise ValueError("above_habit goes with source transaction: other things have no amount")
        return self

    @cached_property
    def condition(self) -> Condition:
        """What the step looks for."""
        return self.not_ or Condition.model_validate({"source": self.source, "where": self.where})


class Absence(Condition):
    """What must not happen after the steps, within a time or, without one, before the session ends."""

    within: Duration | None = None


class Dwell(DefinitionModel):
    """How long the page of the last step must be kept open."""

    gte: Duration


class Goal(Condition):
    """What a hit, or a contact, is meant to lead to."""

    within: Duration


def _lasting(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than nothing, or no message is ever shown; for example 1d")
    return value


TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


class QuietHours(DefinitionModel):
    """From when to when, in business time, nothing is shown; it waits for the end."""

    from_: TimeOfDay = Field(alias="from")
    to: TimeOfDay

    @model_validator(mode="after")
    def _last(self) -> QuietHours:
        if self.from_ == self.to:
            raise ValueError(
                f"from {self.from_} to {self.to} is no time at all: leave quiet_hours out, or end them later"
            )
        return self


class Action(DefinitionModel):
    """What is done about a hit."""

    kind: Literal["popup", "survey", "redirect", "campaign"]
    message_id: MessageId | None = None
    target_url: Address | None = None
    expires: Annotated[Duration, AfterValidator(_lasting)] = timedelta(days=1)
    max_per_customer: Cap | None = None
    quiet_hours: QuietHours | None = None
    purpose: str | None = "marketing"  # the consent it needs; null: none, because it is part of the service
    channels: tuple[str, ...] = ()  # that may show it; none: all

    @model_validator(mode="after")
    def _complete(self) -> Action:
        if self.kind == "redirect" and self.target_url is None:
            raise ValueError("a redirect needs a target_url")
        if self.kind != "redirect" and self.message_id is None:
            raise ValueError(f"a {self.kind} needs a message_id")
        return self

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`."""
        cap, quiet = self.max_per_customer, self.quiet_hours
        return {
            "kind": self.kind, "message_id": self.message_id, "target_url": self.target_url,
            "expires_seconds": _seconds(self.expires), "cap_times": cap and cap.times,
            "cap_seconds": cap and _seconds(cap.per), "quiet_from": quiet and quiet.from_,
            "quiet_to": quiet and quiet.to, "purpose": self.purpose, "channels": list(self.channels),
        }  # fmt: skip


class Rule(DefinitionModel):
    """A detection rule: steps in order, what must not follow, and what is done about it."""

    id: Annotated[str, Field(pattern=r"^DR-[A-Z0-9-]{1,60}$")]
    label: Label
    owner: str
    steps: Annotated[tuple[RuleStep, ...], Field(max_length=32)]
    order: Literal["relaxed", "strict"] = "relaxed"
    within: Duration | None = None
    hold: tuple[str, ...] = ()
    absence: Absence | None = None
    dwell: Dwell | None = None
    session_end: bool = False
    after_match: Literal["past_last", "next_row"] = "past_last"
    cooldown: Duration | None = None
    goal: Goal | None = None
    score: Annotated[int, Field(ge=1, le=100)] | None = None
    action: Action | None = None

    @property
    def taken(self) -> tuple[tuple[int, RuleStep], ...]:
        """The steps without the nots, each with its place in the file."""
        return tuple((place, step) for place, step in enumerate(self.steps) if step.not_ is None)

    @property
    def looks_back(self) -> bool:
        """Whether it depends on what the person did before, however long ago, if something is a step."""
        return any(step.new_device or step.above_habit for step in self.steps)

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the rule needs matched."""
        goal = () if self.goal is None else (self.goal,)
        held = (step.condition.keeping(self.hold) for step in self.steps)
        return (*held, *self._absences(), *self._others(), *goal)

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`; times in seconds, null for none."""
        steps: list[dict[str, Any]] = []
        nots: list[dict[str, Any]] = []
        for step in self.steps:
            condition_id = step.condition.keeping(self.hold).condition_id
            if step.not_ is not None:
                nots.append({"after_step": len(steps), "condition_id": condition_id})
            else:
                steps.append({
                    "name": step.name, "condition_id": condition_id, "gte": step.times.gte, "lte": step.times.lte,
                    "within_seconds": _seconds(step.within), "is_optional": step.optional,
                    "new_device": step.new_device, "habit_times": step.above_habit and step.above_habit.times,
                    "habit_seconds": step.above_habit and _seconds(step.above_habit.over),
                    "habit_least": step.above_habit and step.above_habit.least,
                })  # fmt: skip
        return {
            "label": self.label.model_dump(),
            "owner": self.owner,
            "steps": steps,
            "nots": nots,
            "others": [condition.condition_id for condition in self._others()],
            "order": self.order,
            "within_seconds": _seconds(self.within),
            "hold": list(self.hold),
            "absence": [condition.condition_id for condition in self._absences()],
            "absence_seconds": _seconds(self.absence.within) if self.absence else None,
            "dwell_seconds": _seconds(self.dwell.gte) if self.dwell else None,
            "session_end": self.session_end,
            "after_match": self.after_match,
            "cooldown_seconds": _seconds(self.cooldown),
            "goal": self.goal and {
                "condition_id": self.goal.condition_id, "within_seconds": _seconds(self.goal.within)
            },
            "score": self.score,
            "action": self.action and self.action.content(),
        }  # fmt: skip

    def funnel(self) -> Funnel:
        """The steps as a funnel, so that the funnel engine counts who takes them; a step that must happen n times is n
        steps, and one on a new device or above the habit is any. Not checked as a funnel: it may have one step, and is
        called like the rule."""
        steps: list[Step] = []
        windows: list[timedelta | None] = []
        exclusions: list[Exclusion] = []
        for place, step in enumerate(self.steps):
            condition = step.condition
            if step.not_ is not None:
                next_times = next(later.times.gte for later in self.steps[place:] if later.not_ is None)
                exclusions.append(Exclusion.model_construct(
                    source=condition.source, where=condition.where,
                    from_step=len(steps), to_step=len(steps) + next_times,
                ))  # fmt: skip
                continue
            for number in range(1, step.times.gte + 1):
                which = f" {number}" if step.times.gte > 1 else ""
                steps.append(Step.model_construct(
                    source=condition.source, where=condition.where, optional=step.optional,
                    name=f"{step.name}{which}", name_en=f"{step.name_en or step.name}{which}",
                ))  # fmt: skip
                windows.append(step.within if step.times.gte == 1 else None)
        return Funnel.model_construct(
            id=self.id, label=self.label, owner=self.owner, steps=tuple(steps), window=self.within,
            order="strict" if self.order == "strict" else "ordered", step_windows=tuple(windows), entry="best",
            exclusions=tuple(exclusions), exclusion_mode="end_attempt", hold=self.hold, count_by="person",
            breakdown=None,
        )  # fmt: skip

    def _others(self) -> tuple[Condition, ...]:
        return anything_of(step.condition.source for _, step in self.taken) if self.order == "strict" else ()

    def _absences(self) -> tuple[Condition, ...]:
        return () if self.absence is None else (self.absence.keeping(self.hold),)


class RulesFile(DefinitionModel):
    """The file as a whole."""

    rules: tuple[Rule, ...] = ()


def parse_rules(document: Document) -> tuple[Rule, ...]:
    """The rules of a document. Raises DefinitionError with one message for every mistake found."""
    rules = document.parse(RulesFile).rules
    mistakes = [
        f"{document.where(('rules', number, *location))}: {message}"
        for number, rule in enumerate(rules)
        for location, message in _mistakes(rule)
    ]
    if mistakes:
        raise DefinitionError(mistakes)
    return rules


def overlapping(rules: tuple[Rule, ...]) -> Iterator[tuple[int, str]]:
    """Rules that look for the same as an earlier one, so that one person is detected, and contacted, by both.

    Yields the number of the later rule, and what to say.
    """
    known: dict[str, Rule] = {}
    for number, rule in enumerate(rules):
        content = rule.content()
        looks_for = json.dumps([
            [[step[key] for key in ("condition_id", "new_device", "habit_times")] for step in content["steps"]],
            *(content[key] for key in ("nots", "order", "hold", "absence", "session_end")),
            content["dwell_seconds"] is None,
        ])  # fmt: skip
        other = known.setdefault(looks_for, rule)
        if other is not rule:
            limits = ("within_seconds", "absence_seconds", "dwell_seconds", "cooldown_seconds", "after_match")
            differ = [key.removesuffix("_seconds") for key in limits if content[key] != other.content()[key]]
            what = f"apart from {' and '.join(differ)}" if differ else "in every respect"
            yield number, f"looks for the same as {other.id}, {what}; whoever is hit by both is contacted twice"


def _mistakes(rule: Rule) -> Iterator[Mistake]:
    """What each value allows but the rule as a whole does not."""
    yield from _mistakes_of_nots(rule)
    yield from _mistakes_of_steps(rule)
    yield from _mistakes_of_endings(rule)
    if rule.hold and rule.order == "strict":
        yield ("hold",), "does not go with order: strict"
    for field in rule.hold:
        for place, step in enumerate(rule.steps):
            yield from _unknown(("steps", place), step.condition, field)
        if rule.absence is not None:
            yield from _unknown(("absence",), rule.absence, field)


def _unknown(location: Location, condition: Condition, field: str) -> Iterator[Mistake]:
    try:
        check_names(condition.source, [field])
    except ValueError as error:
        yield location, f"hold: {error}"


def _mistakes_of_nots(rule: Rule) -> Iterator[Mistake]:
    for place, step in enumerate(rule.steps):
        if step.not_ is None:
            continue
        location: Location = ("steps", place)
        before, after = _before(rule, place), _after(rule, place)
        if before is None:
            yield location, "a not needs a step before it: nothing says since when it holds"
        elif after is None:
            yield location, "a not after the last step has no end; write it as absence with within or session_end"
        elif rule.order == "strict":
            yield location, "nothing may come between strict steps, so this not says nothing"
        elif before.optional or after.optional:
            yield location, "a not beside an optional step is ambiguous: the step may be left out"
        elif after.times.lte is not None:
            yield location, "a not before a step with times.lte is not possible; put it after the step"
        elif after.condition.condition_id == step.condition.condition_id:
            yield location, "cannot match: the step after it is the same, so it happens before it is done"


def _mistakes_of_steps(rule: Rule) -> Iterator[Mistake]:
    for number, (place, step) in enumerate(rule.taken):
        at_the_edge = number in {0, len(rule.taken) - 1}
        beside = rule.taken[max(number - 1, 0) : number + 2]
        if step.optional and at_the_edge:
            yield ("steps", place, "optional"), "the first and the last step cannot be optional"
        if step.times.lte is not None and (at_the_edge or any(other.optional for _, other in beside)):
            yield (
                ("steps", place, "times", "lte"),
                "at most is counted between two steps that must happen, so it limits nothing here",
            )
        if step.within is not None and number == 0 and step.times.gte == 1:
            yield ("steps", place, "within"), "counts from the step before; the first step has none"
        if step.within is not None and rule.within is not None and step.within > rule.within:
            yield ("steps", place, "within"), "is longer than within of the rule, so it limits nothing"
    if rule.within is not None and sum(step.times.gte for _, step in rule.taken) == 1:
        yield ("within",), "one step that happens once takes no time, so this limits nothing"


def _mistakes_of_endings(rule: Rule) -> Iterator[Mistake]:
    last = rule.taken[-1][1] if rule.taken else None
    if last is None:
        yield ("steps",), "at least one step must happen"
        return
    if rule.absence is not None:
        if rule.absence.within is None and not rule.session_end:
            yield ("absence",), "has no end: give it within, or let the rule wait for session_end: true"
        if rule.absence.within is not None and rule.session_end:
            yield ("absence", "within"), "ends the absence, and so does session_end; leave one of them out"
    if rule.dwell is not None:
        if rule.absence is not None or rule.session_end:
            yield ("dwell",), "decides when the rule fires, and so does absence or session_end; leave one of them out"
        if last.source != "screen":
            yield ("dwell",), "the last step must be of source screen: only pages are stayed on"
    if rule.session_end and last.source not in {"screen", "transaction"}:
        yield ("session_end",), "the last step must be of source screen or transaction: others have no session"


def _before(rule: Rule, place: int) -> RuleStep | None:
    return next((step for step in reversed(rule.steps[:place]) if step.not_ is None), None)


def _after(rule: Rule, place: int) -> RuleStep | None:
    return next((step for step in rule.steps[place:] if step.not_ is None), None)


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
