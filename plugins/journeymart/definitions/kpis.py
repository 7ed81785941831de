"""definitions/kpis.yml: numbers by day, each how often something happened, alone or per something else."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from journeymart.definitions.conditions import Condition
from journeymart.definitions.loader import DefinitionModel, Label


class Kpi(DefinitionModel):
    """How often `count` happens in a day; with `per`, for each time that happens."""

    id: Annotated[str, Field(pattern=r"^KP-[A-Z0-9-]{1,60}$")]
    label: Label
    owner: str
    count: Condition
    per: Condition | None = None

    def conditions(self) -> tuple[Condition, ...]:
        """Everything the number needs matched."""
        return (self.count, *([self.per] if self.per else []))

    def content(self) -> dict[str, Any]:
        """Plain values for `config.definition`."""
        return {
            "label": self.label.model_dump(),
            "owner": self.owner,
            "count": self.count.condition_id,
            "per": self.per.condition_id if self.per else None,
        }


class KpisFile(DefinitionModel):
    """The file as a whole."""

    kpis: tuple[Kpi, ...] = ()
