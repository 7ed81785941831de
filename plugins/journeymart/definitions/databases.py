"""definitions/databases.yml: tables of other databases that are pulled into the landing zone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field as ModelField
from pydantic import model_validator

from journeymart.definitions.durations import Duration
from journeymart.definitions.loader import DefinitionModel, load_yaml, suggestion
from journeymart.definitions.sources import Sources


class Pull(DefinitionModel):
    """One table or query, and how what is new in it is found."""

    source: str
    connection: str = ModelField(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    table: str | None = ModelField(default=None, pattern=r"^[^.]+(\.[^.]+)?$")
    query: str | None = None
    watermark: str
    key: str
    batch_rows: int = ModelField(default=50_000, ge=1, le=1_000_000)
    lag: Duration = timedelta(minutes=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give either a table or a query")
        return self


class Databases(DefinitionModel):
    """The file as a whole. Names of pulls become folders of the landing zone."""

    pulls: dict[str, Pull]


def load_pulls(directory: Path | None, sources: Sources) -> dict[str, Pull]:
    """The pulls of `directory`, else the shipped ones (none). Raises DefinitionError with file and line."""
    document = load_yaml("databases", directory)
    pulls = document.parse(Databases).pulls
    for name, pull in pulls.items():
        if not name.isidentifier() or not name.isascii():
            raise document.error(("pulls", name), "a name consists of letters, digits and _")
        if pull.source not in sources.sources:
            hint = suggestion(pull.source, sources.sources)
            raise document.error(("pulls", name, "source"), f"unknown source{hint}")
    return pulls
