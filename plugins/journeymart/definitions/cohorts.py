"""definitions/cohorts.yml: who starts in a period, and in which later periods they return."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from journeymart.definitions.conditions import Condition
from journeymart.definitions.loader import DefinitionModel, Label

Age = Annotated[int, Field(ge=1, le=400)]


class Cohort(DefinitionModel):
    """A cohort report: people who fulfil `start` in a period, and the share of them that fulfils `return` later."""

    id: Annotated[str, Field(pattern=r"^CH-[A-Z0-9-]{1,60}$")]
    label: Label
    owner: str
    start: Condition
    returns: Annotated[Condition | None, Field(alias="return")] = None  # none: the start again
    entry: Literal["every", "first"] = "every"
    period: Literal["day", "week", "month"]
    mode: Literal["exact", "unbounded", "bracket"] = "exact"
    ages: Age = 12
    brackets: tuple[Age, ...] = ()

    @model_validator(mode="after")
    def _brackets_belong_to_their_mode(self) -> Cohort:
        if (self.mode == "bracket") != bool(self.brackets):
            raise ValueError("brackets, the first age of each bracket, are for mode bracket, which needs them")
        if any(one >= other for one, other in pairwise(self.brackets)) or (
            self.brackets and self.brackets[-1] > self.ages
        ):
            raise ValueError(f"brackets must rise, and end at ages ({self.ages}) at the latest")
        return self

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the report needs matched."""
        return (self.start, *([self.returns] if self.returns else []))

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`."""
        return {
            "label": self.label.model_dump(),
            "owner": self.owner,
            "start": self.start.condition_id,
            "return": (self.returns or self.start).condition_id,
            "entry": self.entry,
            "period": self.period,
            "mode": self.mode,
            "ages": self.ages,
            "brackets": list(self.brackets),
        }


class CohortsFile(DefinitionModel):
    """The file as a whole."""

    cohorts: tuple[Cohort, ...] = ()
