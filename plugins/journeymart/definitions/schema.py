"""JSON schemas of the definition files, for editors: dbt_project/definitions/schemas/<kind>.schema.json."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from journeymart.definitions.applied import KINDS
from journeymart.definitions.canaries import CanariesFile
from journeymart.definitions.channels import ChannelsFile
from journeymart.definitions.conditions import LISTS, MAX_DEPTH, OPERATORS
from journeymart.definitions.databases import Databases
from journeymart.definitions.exchange_rates import ExchangeRatesFile
from journeymart.definitions.fields import CUSTOMER_FIELDS, FIELDS, ITEM, SOURCES, known_fields
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
    "canaries": CanariesFile,
    **KINDS,
}


CONDITIONS = "conditions"  # of no definition file: what can be in a `where`, for the schemas of the others


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind, and that of conditions, by the name of its file."""
    found = {kind: _schema(model) for kind, model in MODELS.items()} | {CONDITIONS: {"$defs": _where_schemas()}}
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {f"{name}.schema.json": dialect | schema for name, schema in found.items()}


class _Untitled(GenerateJsonSchema):
    """Without titles that only repeat the name of a field."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    schema: dict[str, Any] = _with_conditions(model.model_json_schema(by_alias=True, schema_generator=_Untitled))
    if model is Sources:
        _say_only_what_differs(schema)
    return schema


def _with_conditions(schema: Any) -> Any:
    """pydantic knows a `where` as an object; what can be in it is written once, beside the models."""
    if isinstance(schema, dict):
        if schema.get("title") == "Where" and schema.get("type") == "object":
            return {"$ref": f"{CONDITIONS}.schema.json#/$defs/Conditions"}
        return {key: _with_conditions(value) for key, value in schema.items()}
    return [_with_conditions(value) for value in schema] if isinstance(schema, list) else schema


def _where_schemas() -> dict[str, Any]:
    """JSON schemas for editors: of a `where` (Conditions), and of what a field is compared with (Wanted)."""
    scalar = {"type": ["string", "number", "boolean"]}
    several = {"type": "array", "items": scalar, "minItems": 1}
    operators = {name: several if name in LISTS else scalar for name in OPERATORS} | {"is_null": {"type": "boolean"}}
    one_or_more = {"type": "object", "properties": operators, "additionalProperties": False, "minProperties": 1}
    names = {name for source in SOURCES for name in known_fields(source)}
    columns = {name for source in SOURCES for name, (_, kind) in FIELDS[source].items() if kind == ITEM}
    columns |= {f"customer.{name}" for name, kind in CUSTOMER_FIELDS.items() if kind == ITEM}
    nested = {"type": "array", "items": {"$ref": "#/$defs/Conditions"}, "minItems": 1}
    wanted = {"$ref": "#/$defs/Wanted"}
    prefixes = "|".join(sorted(name.replace(".", "[.]") for name in columns))
    return {
        "Conditions": {
            "type": "object",
            "properties": dict.fromkeys(("any_of", "none_of"), nested) | dict.fromkeys(sorted(names - columns), wanted),
            "patternProperties": {f"^({prefixes})([.][A-Za-z0-9_\u0080-\uffff-]{{1,64}}){{1,{MAX_DEPTH}}}$": wanted},
            "additionalProperties": False,
        },
        "Wanted": {"anyOf": [scalar, several, one_or_more]},
    }


def _say_only_what_differs(schema: dict[str, Any]) -> None:
    """A sources.yml is laid over the shipped one: nothing inside a source has to be said again."""
    source, field = schema["$defs"]["Source"], schema["$defs"]["Field"]
    for part in (source, field):
        part.pop("required", None)
    field["properties"].pop("is_own")
    source["properties"]["extends"] = {"enum": sorted(path.stem for path in MAPPINGS.glob("*.yml"))}


def written(schema: dict[str, Any]) -> str:
    """A schema as its file has it."""
    return json.dumps(schema, ensure_ascii=False, indent=1) + "\n"


def write() -> None:
    """Bring the shipped files up to date; a test says when that is due."""
    for name, schema in schemas().items():
        (DIRECTORY / name).write_text(written(schema), encoding="utf-8")
