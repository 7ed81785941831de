"""The condition language of contract.md section 4, compiled into SQL predicates.

A predicate is made of field expressions from the two tables below and of quoted literals, so nothing a definition
says can become SQL. The expressions name the aliases of dbt_project/models/marts/journey/step_match.sql.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from psycopg import sql
from pydantic import Field, model_validator

from journeymart.definitions.loader import DefinitionModel, suggestion

Scalar = str | bool | int | float
Source = Literal["screen", "transaction"]

_TEXT, _NUMBER = "text", "number"
# field → (expression, type)
FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "screen": {
        "page_code": ("case when n.kind = 'page' then n.code end", _TEXT),
        "node": ("n.code", _TEXT),
        "action_type": ("t.action_type", _TEXT),
        "channel": ("a.channel", _TEXT),
        "domain": ("a.domain", _TEXT),
        "os": ("a.os", _TEXT),
        "device_type": ("a.device_type", _TEXT),
        "device_model": ("a.device_model", _TEXT),
        "app_version": ("a.app_version", _TEXT),
        "utm_source": ("i.utm_source", _TEXT),
        "utm_medium": ("i.utm_medium", _TEXT),
        "utm_campaign": ("i.utm_campaign", _TEXT),
        "error_code": ("r.error_code", _TEXT),
        "error_page": ("r.error_page", _TEXT),
        "page_name": ("d.page_name", _TEXT),
        "page_url": ("d.page_url", _TEXT),
        "click_text": ("d.click_text", _TEXT),
        "click_name": ("d.click_name", _TEXT),
        "popup_name": ("d.popup_name", _TEXT),
        "tab_name": ("d.tab_name", _TEXT),
        "step_position": ("d.step_position", _TEXT),
        "exit_menu": ("d.exit_menu", _TEXT),
    },
    "transaction": {
        "transaction_code": ("n.code", _TEXT),
        "channel": ("f.channel", _TEXT),
        "result_code": ("f.result_code", _TEXT),
        "currency": ("f.currency", _TEXT),
        "amount": ("f.amount", _NUMBER),
        "amount_krw": ("f.amount_krw", _NUMBER),
    },
}
_ITEM = re.compile(r"^fields\.\w{1,64}$")


def _compare(symbol: str) -> Callable[[sql.Composable, Any], sql.Composable]:
    return lambda field, value: sql.SQL("{} " + symbol + " {}").format(field, sql.Literal(value))


def _like(pattern: str) -> Callable[[sql.Composable, Any], sql.Composable]:
    def render(field: sql.Composable, value: Any) -> sql.Composable:
        escaped = re.sub(r"([\\%_])", r"\\\1", str(value))
        return sql.SQL("{} like {}").format(field, sql.Literal(pattern.replace("*", escaped)))

    return render


def _any(field: sql.Composable, values: Any) -> sql.Composable:
    return sql.SQL("{} in ({})").format(field, sql.SQL(", ").join(map(sql.Literal, values)))


_OPERATORS: dict[str, Callable[[sql.Composable, Any], sql.Composable]] = {
    "eq": _compare("="),
    "ne": lambda field, value: sql.SQL("{} is distinct from {}").format(field, sql.Literal(value)),
    "gt": _compare(">"),
    "gte": _compare(">="),
    "lt": _compare("<"),
    "lte": _compare("<="),
    "in": _any,
    "not_in": lambda field, values: sql.SQL("coalesce({} , false) is false").format(_any(field, values)),
    "between": lambda field, ends: sql.SQL("{} between {} and {}").format(field, *map(sql.Literal, ends)),
    "contains": _like("%*%"),
    "starts_with": _like("*%"),
    "ends_with": _like("%*"),
    "is_null": lambda field, value: sql.SQL("({} is null) = {}").format(field, sql.Literal(bool(value))),
}
_LISTS = {"in", "not_in", "between"}
_TEXT_ONLY = {"contains", "starts_with", "ends_with"}


class Condition(DefinitionModel):
    """What a step, a rule or a segment looks for: a source and a `where` in which everything must hold."""

    source: Source
    where: Annotated[dict[str, Any], Field(min_length=1)]

    @model_validator(mode="after")
    def _compiles(self) -> Condition:
        self.predicate()
        return self

    @property
    def condition_id(self) -> str:
        """Hash of the condition: the same condition in two definitions is evaluated once."""
        text = json.dumps([self.source, self.where], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def predicate(self) -> str:
        """The SQL predicate; raises ValueError naming the field or operator that is not one."""
        return _all(self.source, self.where).as_string(None)


def _all(source: str, where: Any) -> sql.Composable:
    if not isinstance(where, dict) or not where:
        raise ValueError("expected fields with their conditions")
    parts: list[sql.Composable] = []
    for name, wanted in where.items():
        if name in {"any_of", "none_of"}:
            if not isinstance(wanted, list) or not wanted:
                raise ValueError(f"{name}: expected a list of conditions")
            any_of = sql.SQL(" or ").join(_all(source, item) for item in wanted)
            parts.append(sql.SQL("coalesce({}, false) is {}").format(
                sql.SQL("({})").format(any_of), sql.SQL("true" if name == "any_of" else "false")
            ))  # fmt: skip
        else:
            parts.append(_field(source, name, wanted))
    return sql.SQL("({})").format(sql.SQL(" and ").join(parts))


def _field(source: str, name: str, wanted: Any) -> sql.Composable:
    field, kind = _expression(source, name)
    if not isinstance(wanted, dict):
        wanted = {"in" if isinstance(wanted, list) else "eq": wanted}
    parts = []
    for operator, value in wanted.items():
        if operator not in _OPERATORS:
            raise ValueError(f"{name}: unknown operator '{operator}'{suggestion(operator, _OPERATORS)}")
        values = value if operator in _LISTS else [value]
        if not isinstance(values, list) or not values or (operator == "between" and len(values) != 2):  # noqa: PLR2004
            raise ValueError(f"{name}: {operator} takes {'two values' if operator == 'between' else 'a list'}")
        if operator != "is_null":
            for item in values:
                _check(name, kind, operator, item)
        parts.append(_OPERATORS[operator](field, value))
    return sql.SQL(" and ").join(parts)


def _check(name: str, kind: str, operator: str, item: Any) -> None:
    is_number = isinstance(item, int | float) and not isinstance(item, bool)
    if kind == _NUMBER and (operator in _TEXT_ONLY or not is_number):
        raise ValueError(f"{name} is a number; {operator} {item!r} is not possible")
    if kind == _TEXT and not isinstance(item, str):
        raise ValueError(f"{name} is text; put {item!r} in quotes")
    if isinstance(item, str) and "\0" in item:
        raise ValueError(f"{name}: a NUL character cannot be matched")


def _expression(source: str, name: str) -> tuple[sql.Composable, str]:
    if source == "transaction" and _ITEM.match(name):
        return sql.SQL("d.fields ->> {}").format(sql.Literal(name.removeprefix("fields."))), _TEXT
    fields = FIELDS[source]
    if name not in fields:
        raise ValueError(f"unknown field '{name}' of source {source}{suggestion(name, fields)}")
    expression, kind = fields[name]
    return sql.SQL(expression), kind
