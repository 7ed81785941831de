"""What dbt says about published models: the one source of column types, labels and descriptions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from journeymart.settings import Settings
from journeymart.superset.specs import LOCALES


@dataclass(frozen=True)
class ModelColumn:
    """A column of a published table; `label` by locale, `type` as PostgreSQL names it."""

    name: str
    type: str
    label: dict[str, str]
    description: str


# Model name → its columns by name, in the order of the table.
Models = dict[str, dict[str, ModelColumn]]


def current_models(settings: Settings) -> Models:
    """The described columns of every model, from a fresh reading of the dbt project (seconds).

    Raises DbtError if the project is not valid.
    """
    from journeymart.transform.dbt import Dbt  # noqa: PLC0415 - brings dbt, which is slow to import

    # In a folder of its own: a run of the pipeline may be reading the project at the same moment.
    home = settings.home / "dashboards"
    Dbt(replace(settings, home=home)).parse()
    return read_models(home / "dbt" / "target" / "manifest.json")


def read_models(path: Path) -> Models:
    """The described columns of every model in a manifest that dbt wrote."""
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    return {
        node["name"]: {name: _column(column) for name, column in node["columns"].items()}
        for node in nodes
        if node["resource_type"] == "model"
    }


def _column(column: dict[str, Any]) -> ModelColumn:
    label = column["config"].get("meta", {}).get("label", {})
    return ModelColumn(
        name=column["name"],
        type=column["data_type"] or "text",
        label={locale: label.get(locale, column["name"]) for locale in LOCALES},
        description=column["description"],
    )
