"""definitions/funnels.yml: ordered steps that people take within a window."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from journeymart.definitions.conditions import Condition
from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import DefinitionModel, Label


class Step(Condition):
    """One step: a condition with a name people read."""

    name: Annotated[str, Field(min_length=1, max_length=60)]

    def condition(self) -> Condition:
        """The condition without its name, so that equal conditions share one id."""
        return Condition(source=self.source, where=self.where)


class Funnel(DefinitionModel):
    """A funnel with ordered steps; other events may come between."""

    id: Annotated[str, Field(pattern=r"^FN-[A-Z0-9-]{1,60}$")]
    label: Label
    owner: str
    steps: Annotated[tuple[Step, ...], Field(min_length=2, max_length=32)]
    order: Literal["ordered"] = "ordered"
    window: Duration | None
    entry: Literal["first", "best"] = "first"
    exclusions: tuple[Condition, ...] = ()
    exclusion_mode: Literal["end_person"] = "end_person"
    count_by: Literal["person", "visitor"] = "person"

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the funnel needs matched."""
        return (*(step.condition() for step in self.steps), *self.exclusions)

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`; the window in seconds, null for none."""
        return {
            "label": self.label.model_dump(),
            "owner": self.owner,
            "steps": [{"name": step.name, "condition_id": step.condition().condition_id} for step in self.steps],
            "window_seconds": None if self.window is None else self.window.total_seconds(),
            "entry": self.entry,
            "exclusions": [condition.condition_id for condition in self.exclusions],
            "count_by": self.count_by,
        }


class FunnelsFile(DefinitionModel):
    """The file as a whole."""

    funnels: tuple[Funnel, ...] = ()
