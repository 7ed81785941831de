"""JSON schemas of the definition files, for editors: dbt_project/definitions/schemas/<kind>.schema.json."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from journeymart.definitions.applied import KINDS
from journeymart.definitions.channels import ChannelsFile
from journeymart.definitions.conditions import where_schemas
from journeymart.definitions.databases import Databases
from journeymart.definitions.exchange_rates import ExchangeRatesFile
from journeymart.definitions.loader import SHIPPED
from journeymart.definitions.packs import PacksFile
from journeymart.definitions.pages import Pages
from journeymart.definitions.sessions import SessionsFile
from journeymart.definitions.sources import MAPPINGS, Sources
from journeymart.definitions.transactions import Transactions

DIRECTORY = SHIPPED / "schemas"
MODELS: dict[str, type[BaseModel]] = {
    "sessions": SessionsFile,
    "sources": Sources,
    "channels": ChannelsFile,
    "exchange_rates": ExchangeRatesFile,
    "pages": Pages,
    "transactions": Transactions,
    "databases": Databases,
    "packs": PacksFile,
    **KINDS,
}


def schemas() -> dict[str, str]:
    """The content of each schema file, by kind."""
    return {kind: json.dumps(_schema(model), ensure_ascii=False, indent=1) + "\n" for kind, model in MODELS.items()}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema = _with_conditions(model.model_json_schema(by_alias=True))
    if model is Sources:
        _say_only_what_differs(schema)
    if "#/$defs/Conditions" in json.dumps(schema):
        schema["$defs"] |= where_schemas()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _with_conditions(schema: Any) -> Any:
    """pydantic knows a `where` as an object; what can be in it is written once, beside the models."""
    if isinstance(schema, dict):
        if schema.get("title") == "Where" and schema.get("type") == "object":
            return {"$ref": "#/$defs/Conditions"}
        return {key: _with_conditions(value) for key, value in schema.items()}
    return [_with_conditions(value) for value in schema] if isinstance(schema, list) else schema


def _say_only_what_differs(schema: dict[str, Any]) -> None:
    """A sources.yml is laid over the shipped one: nothing inside a source has to be said again."""
    source, field = schema["$defs"]["Source"], schema["$defs"]["Field"]
    for part in (source, field):
        part.pop("required", None)
    field["properties"].pop("is_own")
    source["properties"]["extends"] = {"enum": sorted(path.stem for path in MAPPINGS.glob("*.yml"))}


def write() -> None:
    """Bring the shipped files up to date; a test says when that is due."""
    DIRECTORY.mkdir(exist_ok=True)
    for kind, text in schemas().items():
        (DIRECTORY / f"{kind}.schema.json").write_text(text, encoding="utf-8")
