"""What dbt says about published models: the one source of column types, labels and descriptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


class Models(dict[str, dict[str, ModelColumn]]):
    """Model name → its columns by name, in the order of the table.

    `files`: where each model is written, in the dbt project. `parents`: what each is made of, models by their names and
    tables that are no models as `schema.table`.
    """

    files: dict[str, str]
    parents: dict[str, set[str]]


def current_models(settings: Settings) -> Models:
    """The described columns of every model, from a fresh reading of the dbt project (seconds).

    Raises DbtError if the project is not valid.
    """
    from journeymart.transform.dbt import Dbt  # noqa: PLC0415 - brings dbt, which is slow to import

    # In a folder of its own: a run of the pipeline may be reading the project at the same moment.
    dbt = Dbt(replace(settings, home=settings.home / "dashboards"))
    described = dbt.models()
    models = Models(
        (model["name"], {name: _column(column) for name, column in model["columns"].items()}) for model in described
    )
    models.files = {model["name"]: model["original_file_path"] for model in described}
    models.parents = {model["name"]: {_name(node) for node in model["depends_on"]["nodes"]} for model in described}
    return models


def _name(node: str) -> str:
    """model.journeymart.session → session, source.journeymart.raw.event → raw.event."""
    kind, _, name = node.split(".", 2)
    return name if kind == "source" else name.rpartition(".")[2]


def _column(column: dict[str, Any]) -> ModelColumn:
    label = column["config"].get("meta", {}).get("label", {})
    return ModelColumn(
        name=column["name"],
        type=column["data_type"] or "text",
        label={locale: label.get(locale, column["name"]) for locale in LOCALES},
        description=column["description"],
    )
