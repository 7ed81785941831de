"""definitions/cohorts.yml: who starts in a period, and in which later periods they return."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from journeymart.definitions.conditions import Condition
from journeymart.definitions.loader import DefinitionModel, Label

Age = Annotated[int, Field(ge=1, le=400)]
_EXAMPLE = "[1, 8, 15] is 0, 1 to 7, 8 to 14, and 15 up to ages"


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

    @field_validator("brackets", mode="before")
    @classmethod
    def _first_ages(cls, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(item, (list, dict, str)) for item in value):
            raise ValueError(f"name the first age of each bracket; it goes on until the next begins: {_EXAMPLE}")
        return value

    @model_validator(mode="after")
    def _brackets_belong_to_their_mode(self) -> Self:
        problems = []
        if self.mode == "bracket" and not self.brackets:
            problems.append(f"mode: bracket needs brackets, the first age of each after the first: {_EXAMPLE}")
        if self.mode != "bracket" and self.brackets:
            problems.append(f"brackets: belong to mode: bracket, not to {self.mode}")
        for number, (one, other) in enumerate(pairwise(self.brackets), start=1):
            if other == one:
                problems.append(f"brackets.{number}: two brackets begin at age {one}")
            elif other < one:
                problems.append(
                    f"brackets.{number}: must rise: {other} comes after {one}, whose bracket it would overlap"
                )
        problems += [
            f"brackets.{number}: age {first} is never shown: ages is {self.ages}"
            for number, first in enumerate(self.brackets)
            if first > self.ages
        ]
        if problems:
            raise ValueError(*problems)
        return self

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the report needs matched."""
        return (self.start, *([self.returns] if self.returns else []))

    def replaced(self, instead: Mapping[str, Any]) -> Cohort:
        """The report with other values, where there are any. Raises ValueError if they do not go together."""
        asked = {key: value for key, value in instead.items() if value is not None}
        if not asked:
            return self
        content = self.model_dump(by_alias=True, mode="json", exclude_none=True) | asked
        if content["mode"] != "bracket" and "brackets" not in asked:  # they go with it, as in mart.retention_plan
            del content["brackets"]
        try:
            return Cohort.model_validate(content)
        except ValidationError as error:
            messages = (item["msg"].removeprefix("Value error, ") for item in error.errors())
            raise ValueError("; ".join(messages)) from error

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


def shown_ages(mode: str, ages: int, brackets: Collection[int]) -> Collection[int]:
    """The ages that a report has: those of brackets are their first ones."""
    return (0, *brackets) if mode == "bracket" else range(ages + 1)


def begin_of(period: str, day: date, later: int = 0) -> date:
    """Where the period that many after that of a date begins; weeks begin on Monday."""
    if period == "month":
        months = day.year * 12 + day.month - 1 + later
        return date(months // 12, months % 12 + 1, 1)
    begin = day - timedelta(days=day.weekday()) if period == "week" else day
    return begin + timedelta(days=later * (7 if period == "week" else 1))
