"""definitions/funnels.yml: steps that people take within a window. docs/semantics.md says what each word means."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from journeymart.definitions.conditions import Condition, anything_of, check_names
from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import DefinitionModel, Label

MAX_STEPS = 32
MAX_EXCLUSIONS = 16
StepNumber = Annotated[int, Field(ge=1, le=MAX_STEPS)]


class Step(Condition):
    """One step: a condition with a name people read. An optional one may be left out."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    name_en: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    optional: bool = False


class Exclusion(Condition):
    """What must not happen between two steps; between the first and the last one unless said otherwise."""

    from_step: StepNumber = 1
    to_step: StepNumber | None = None


class Breakdown(DefinitionModel):
    """By which field the numbers are split, and of which step its value counts."""

    by: str
    as_of_step: StepNumber = 1


class Funnel(DefinitionModel):
    """A funnel: who takes the first step is in it, and how many of the next ones they take in time is counted."""

    id: Annotated[str, Field(pattern=r"^FN-[A-Z0-9-]{1,60}$")]
    label: Label
    owner: str
    steps: Annotated[tuple[Step, ...], Field(min_length=2, max_length=MAX_STEPS)]
    order: Literal["ordered", "strict", "any"] = "ordered"
    window: Duration | None
    step_windows: tuple[Duration | None, ...] = ()
    entry: Literal["first", "latest", "best"] = "first"
    exclusions: Annotated[tuple[Exclusion, ...], Field(max_length=MAX_EXCLUSIONS)] = ()
    exclusion_mode: Literal["end_attempt", "drop_person", "end_person"] = "end_attempt"
    hold: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    count_by: Literal["person", "visitor", "session", "attempt"] = "person"
    breakdown: Breakdown | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = self._problems()
        if problems:
            raise ValueError(*problems)
        return self

    def _problems(self) -> list[str]:
        """What cannot be meant, in words."""
        last = len(self.steps)
        found = []
        if self.steps[0].optional or self.steps[-1].optional:
            found.append("steps: the first and the last step cannot be optional")
        if self.order != "ordered" and any(step.optional for step in self.steps):
            found.append(f"steps: an optional step does not go with order: {self.order}")
        if self.window is not None and self.window <= timedelta(0):
            found.append("window: nothing can happen within no time")
        found += self._window_problems()
        for number, exclusion in enumerate(self.exclusions):
            first, to = exclusion.from_step, exclusion.to_step or last
            if not first < to <= last:
                found.append(f"exclusions.{number}: from_step must lie before to_step, and both among the {last} steps")
            elif self.steps[first - 1].optional or self.steps[to - 1].optional:
                found.append(f"exclusions.{number}: between steps that are not optional")
            elif (first, to) != (1, last) and (self.order == "any" or self.exclusion_mode == "end_person"):
                what = "order: any" if self.order == "any" else "exclusion_mode: end_person"
                found.append(f"exclusions.{number}: from_step and to_step do not go with {what}")
        if self.hold and self.order == "strict":
            found.append("hold: does not go with order: strict")
        if self.count_by == "attempt" and (self.entry != "first" or self.exclusion_mode == "end_person"):
            found.append("count_by: attempt goes with entry: first and an exclusion_mode other than end_person")
        if self.breakdown is not None and self.breakdown.as_of_step > (1 if self.order == "any" else last):
            found.append("breakdown: there is no such step" if self.order != "any" else "breakdown: as of step 1")
        return found + self._field_problems() + self._reach_problems()

    def _field_problems(self) -> list[str]:
        """Fields to be kept of steps that do not have them."""
        kept = [("hold", item.source, name) for item in (*self.steps, *self.exclusions) for name in self.hold]
        if self.breakdown is not None:
            of_steps = self.steps if self.order == "any" else self.steps[self.breakdown.as_of_step - 1 :][:1]
            kept += [("breakdown", step.source, self.breakdown.by) for step in of_steps]
        found = []
        for key, source, name in kept:
            try:
                check_names(source, [name])
            except ValueError as error:
                found.append(f"{key}: {error}")
        return found

    def _window_problems(self) -> list[str]:
        found = []
        if self.step_windows and self.order == "any":
            found.append("step_windows: do not go with order: any")
        if len(self.step_windows) > len(self.steps):
            found.append(f"step_windows: there are only {len(self.steps)} steps")
        if self.step_windows and self.step_windows[0] is not None:
            found.append("step_windows: the first is of step 1, which has no step before it: null")
        for number, window in enumerate(self.step_windows):
            if window is not None and not timedelta(0) < window <= (self.window or window):
                found.append(f"step_windows.{number}: must be longer than nothing and not longer than the window")
        return found

    def _reach_problems(self) -> list[str]:
        """Steps that nobody can reach because of how subjects are counted."""
        last = len(self.steps)
        found = [
            f"steps.{number - 1}: cannot be taken: exclusions.{place} is the same"
            for place, exclusion in enumerate(self.exclusions)
            for number, step in enumerate(self.steps, start=1)
            if exclusion.from_step < number <= (exclusion.to_step or last)
            and (exclusion.source, exclusion.where) == (step.source, step.where)
        ]
        places = {"session": {"screen", "transaction", "any"}, "visitor": {"screen", "transaction", "survey", "any"}}
        return found + [
            f"steps.{number}: cannot be reached: what is of source {step.source} has no {self.count_by}"
            for number, step in enumerate(self.steps)
            if step.source not in places.get(self.count_by, {step.source})
        ]

    def step_conditions(self) -> list[Condition]:
        """What is matched per step, with the values that the funnel keeps of it."""
        by, as_of = (self.breakdown.by, self.breakdown.as_of_step) if self.breakdown else (None, 0)
        return [
            step.keeping(self.hold, by if self.order == "any" or number == as_of else None)
            for number, step in enumerate(self.steps, start=1)
        ]

    def exclusion_conditions(self) -> list[Condition]:
        """What is matched per exclusion."""
        return [exclusion.keeping(self.hold) for exclusion in self.exclusions]

    def other_conditions(self) -> tuple[Condition, ...]:
        """What ends a strict attempt."""
        return anything_of(step.source for step in self.steps) if self.order == "strict" else ()

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the funnel needs matched."""
        return (*self.step_conditions(), *self.exclusion_conditions(), *self.other_conditions())

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`; windows in seconds, null for none."""
        windows = [*self.step_windows, *[None] * (len(self.steps) - len(self.step_windows))]
        return {
            "label": self.label.model_dump(),
            "owner": self.owner,
            "steps": [
                {
                    "name": step.name,
                    "name_en": step.name_en or step.name,
                    "condition_id": condition.condition_id,
                    "optional": step.optional,
                    "window_seconds": None if window is None else window.total_seconds(),
                    "has_amount": step.source in {"transaction", "any"},
                }
                for step, condition, window in zip(self.steps, self.step_conditions(), windows, strict=True)
            ],
            "order": self.order,
            "window_seconds": None if self.window is None else self.window.total_seconds(),
            "entry": self.entry,
            "exclusions": [
                {
                    "condition_id": condition.condition_id,
                    "from_step": exclusion.from_step,
                    "to_step": exclusion.to_step or len(self.steps),
                }
                for exclusion, condition in zip(self.exclusions, self.exclusion_conditions(), strict=True)
            ],
            "exclusion_mode": self.exclusion_mode,
            "others": [condition.condition_id for condition in self.other_conditions()],
            "hold": list(self.hold),
            "count_by": self.count_by,
            "breakdown": None if self.breakdown is None else self.breakdown.model_dump(),
        }


class FunnelsFile(DefinitionModel):
    """The file as a whole."""

    funnels: tuple[Funnel, ...] = ()
