"""The condition language of definitions, compiled into SQL predicates.

A predicate is made of the expressions of fields.py and of quoted literals, so nothing a definition says can become SQL.
docs/semantics.md explains the language.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from psycopg import sql
from pydantic import Field, WithJsonSchema, model_validator

from journeymart.definitions.fields import (
    AT,
    BOOLEAN,
    CASTS,
    CUSTOMER,
    CUSTOMER_FIELDS,
    DATE,
    FIELDS,
    ITEM,
    MOMENT,
    NUMBER,
    OF_NODE,
    RANGES,
    ROW_FIELDS,
    SESSION_FIELDS,
    SOURCES,
    TEXT,
    TIME,
    TIMES,
    WRITTEN,
    Source,
    known_fields,
)
from journeymart.definitions.loader import DefinitionModel, suggestion
from journeymart.definitions.regular_expressions import check_regular_expression

_NO_VALUE = "none"
_SEGMENT = re.compile(r"[\w-]{1,64}")
MAX_DEPTH = 5
MAX_NESTING = 10


class Expression(NamedTuple):
    """A field as SQL; `path` leads to an item inside a JSON column."""

    field: sql.Composable
    kind: str
    path: tuple[str, ...] = ()

    def typed(self, kind: str) -> sql.Composable:
        """The field as `kind`; an item of a message is what the value it is compared with is."""
        if self.kind != ITEM:
            return self.field
        text = sql.SQL("({} #>> {})").format(self.field, sql.Literal(list(self.path)))
        if kind != NUMBER:
            return text
        return sql.SQL("(case when {0} ~ '^[-+]?[0-9]{{1,30}}([.][0-9]{{1,30}})?$' then {0}::numeric end)").format(text)


@dataclass(frozen=True)
class Compiled:
    """A condition for one source: the predicate, and the values it keeps of what it matches (null: none)."""

    predicate: str
    hold: str | None = None
    breakdown: str | None = None
    is_of_node: bool = False  # whether the page and the kind of action decide it alone


def _compare(symbol: str) -> Callable[[sql.Composable, Any], sql.Composable]:
    return lambda field, value: sql.SQL("{} " + symbol + " {}").format(field, sql.Literal(value))


def _like(pattern: str) -> Callable[[sql.Composable, Any], sql.Composable]:
    def render(field: sql.Composable, value: Any) -> sql.Composable:
        escaped = re.sub(r"([\\%_])", r"\\\1", str(value))
        return sql.SQL("{} like {}").format(field, sql.Literal(pattern.replace("*", escaped)))

    return render


def _any(field: sql.Composable, values: Any) -> sql.Composable:
    return sql.SQL("{} in ({})").format(field, sql.SQL(", ").join(map(sql.Literal, values)))


OPERATORS: dict[str, Callable[[sql.Composable, Any], sql.Composable]] = {
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
    "matches": _compare("~"),
    "is_null": lambda field, value: sql.SQL("({} is null) = {}").format(field, sql.Literal(value)),
}
LISTS = {"in", "not_in", "between"}
_TEXT_ONLY = {"contains", "starts_with", "ends_with", "matches"}


class Condition(DefinitionModel):
    """What a step, a rule or a segment looks for: a source and a `where` in which everything must hold."""

    source: Source
    where: Annotated[dict[str, Any], WithJsonSchema({"type": "object", "title": "Where"})] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _compiles(self) -> Condition:
        self.compiled()
        contradiction = _contradiction(self.where)
        if contradiction:
            raise ValueError(contradiction)
        return self

    @property
    def condition_id(self) -> str:
        """Hash of what is evaluated: the same condition in two definitions is evaluated once."""
        parts = {name: [c.predicate, c.hold, c.breakdown] for name, c in self.compiled().items()}
        return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]

    def compiled(self, schema: str = "next") -> dict[str, Compiled]:
        """Predicates by source, over the mart of `schema`; raises ValueError naming the field that is wrong."""
        names = self._names()
        check_names(self.source, names)
        sources = SOURCES if self.source == "any" else (self.source,)
        return {source: self._compile(_Scope(source, schema, lenient=self.source == "any")) for source in sources}

    def keeping(self, hold: tuple[str, ...], breakdown: str | None = None) -> Condition:
        """The condition with the values that a definition wants kept of what it matches, if any."""
        if not hold and breakdown is None:
            return self
        return KeepingCondition(source=self.source, where=self.where, hold=hold, breakdown=breakdown)

    @property
    def uses(self) -> tuple[bool, bool]:
        """Whether what is known of the customer, and of the session, decides it."""
        customer, session = (any(name.startswith(of) for name in self._names()) for of in ("customer.", "session."))
        return customer, session

    def _names(self) -> list[str]:
        return list(_names(self.where))

    def _compile(self, scope: _Scope) -> Compiled:
        is_of_node = scope.source == "screen" and OF_NODE.issuperset(self._names())
        return Compiled(scope.all(self.where).as_string(None), is_of_node=is_of_node)


class KeepingCondition(Condition):
    """A condition that keeps values of what it matches: those that must stay the same, and one to break down by."""

    hold: tuple[str, ...] = ()
    breakdown: str | None = None

    def _names(self) -> list[str]:
        return [*super()._names(), *self.hold, *([self.breakdown] if self.breakdown else [])]

    def _compile(self, scope: _Scope) -> Compiled:
        held = [scope.text(name) for name in self.hold]
        # a part that is unknown is equal to nothing
        known = sql.SQL(" and ").join(sql.SQL("{} is not null").format(value) for value in held)
        hold = sql.SQL("case when {} then jsonb_build_array({})::text end").format(known, sql.SQL(", ").join(held))
        plain = super()._compile(scope)
        return Compiled(
            plain.predicate,
            hold.as_string(None) if held else None,
            scope.text(self.breakdown).as_string(None) if self.breakdown else None,
            is_of_node=plain.is_of_node and not held and not self.breakdown,
        )


def anything_of(sources: Iterable[Source]) -> tuple[Condition, ...]:
    """What must not come between strict steps: anything else of the sources that they name."""
    named = set(sources)
    return tuple(Condition(source=source) for source in (("any",) if "any" in named else sorted(named)))  # type: ignore[arg-type]


def row_predicate(of: str, where: dict[str, Any]) -> str:
    """A predicate on rows that are not events (ROW_FIELDS); raises ValueError naming the field that is not one."""
    for name in _names(where):
        column = name.partition(".")[0]
        if column not in ROW_FIELDS[of]:
            raise ValueError(f"unknown field '{name}' of {of}{suggestion(column, ROW_FIELDS[of])}")
    predicate = _Scope(of, "next", lenient=False).all(where).as_string(None)
    contradiction = _contradiction(where)
    if contradiction:
        raise ValueError(contradiction)
    return predicate


def _names(where: Any) -> Iterator[str]:
    if isinstance(where, dict):
        for name, wanted in where.items():
            if name in {"any_of", "none_of"}:
                for item in wanted if isinstance(wanted, list) else ():
                    yield from _names(item)
            else:
                yield name


def _contradiction(where: dict[str, Any]) -> str | None:
    """What cannot hold at once, in words; none if nothing is found."""
    for name, wanted in where.items():
        if name == "any_of":
            found = [_contradiction(item) for item in wanted]
            if all(found):
                return found[0]
        elif (
            isinstance(wanted, dict)
            and name != "none_of"
            and _excludes_itself(_moments(wanted) if name in TIMES else wanted)
        ):
            return f"{name}: cannot be reached: nothing fulfils {json.dumps(wanted, ensure_ascii=False)}"
    return None


def _moments(wanted: dict[str, Any]) -> dict[str, Any]:
    """The values of a time as moments: as text, one with another offset would lie elsewhere."""
    return {
        operator: [datetime.fromisoformat(item) for item in value]
        if isinstance(value, list)
        else datetime.fromisoformat(value)
        if isinstance(value, str)
        else value
        for operator, value in wanted.items()
    }


def _excludes_itself(wanted: dict[str, Any]) -> bool:
    """Whether no value fulfils all of a field's operators."""
    if "is_null" in wanted:
        return wanted["is_null"] is True and bool(wanted.keys() - {"is_null", "ne", "not_in"})
    allowed = [set(values) for values in ([wanted["eq"]] if "eq" in wanted else None, wanted.get("in")) if values]
    lowest, highest = wanted.get("between", (None, None))
    low = [(value, False) for value in (wanted.get("gte"), lowest) if value is not None]
    low += [(wanted["gt"], True)] if "gt" in wanted else []
    high = [(value, False) for value in (wanted.get("lte"), highest) if value is not None]
    high += [(wanted["lt"], True)] if "lt" in wanted else []
    if any(a > b or (a == b and (a_open or b_open)) for a, a_open in low for b, b_open in high):
        return True
    if not allowed:
        return False
    left = set.intersection(*allowed) - {wanted.get("ne")} - set(wanted.get("not_in", ()))
    return not any(
        all(value > edge or (value == edge and not is_open) for edge, is_open in low)
        and all(value < edge or (value == edge and not is_open) for edge, is_open in high)
        for value in left
    )


def check_names(source: str, names: list[str]) -> None:
    """Raise ValueError for a field that `source` does not have; of any source, one of them must have it."""
    sources = SOURCES if source == "any" else (source,)
    for name in names:
        if not any(_Scope(each, "next", lenient=False).has(name) for each in sources):
            known = known_fields(source)
            if name.startswith("session.") and not any(field.startswith("session.") for field in known):
                raise ValueError(f"unknown field '{name}': what is of source {source} has no session")
            column = name.partition(".")[0]
            if name in known:
                raise ValueError(f"'{name}' holds items: name one of them, such as {name}.x")
            if column in known:
                raise ValueError(
                    f"unknown field '{name}': names inside {column} consist of letters, digits, _ and -, "
                    f"at most {MAX_DEPTH} levels deep"
                )
            raise ValueError(f"unknown field '{name}' of source {source}{suggestion(name, known)}")


class _Scope(NamedTuple):
    """One source over the mart of one schema. `lenient`: fields that the source does not have are null."""

    source: str
    schema: str
    lenient: bool

    def all(self, where: Any, depth: int = 0) -> sql.Composable:
        if not isinstance(where, dict) or (depth and not where):
            raise ValueError("expected fields with their conditions")
        if depth > MAX_NESTING:
            raise ValueError(f"any_of and none_of are nested deeper than {MAX_NESTING}")
        # what must be looked up elsewhere comes last: it is evaluated only where everything else holds
        parts = [
            self._nested(name, wanted, depth) if name in {"any_of", "none_of"} else self._field(name, wanted)
            for name, wanted in sorted(where.items(), key=lambda item: item[0].startswith(("customer.", "session.")))
        ]
        return sql.SQL("({})").format(sql.SQL(" and ").join(parts)) if parts else sql.SQL("(true)")

    def _nested(self, name: str, wanted: Any, depth: int) -> sql.Composable:
        if not isinstance(wanted, list) or not wanted:
            raise ValueError(f"{name}: expected a list of conditions")
        any_of = sql.SQL(" or ").join(self.all(item, depth + 1) for item in wanted)
        verdict = sql.SQL("true" if name == "any_of" else "false")
        return sql.SQL("coalesce(({}), false) is {}").format(any_of, verdict)

    def _field(self, name: str, wanted: Any) -> sql.Composable:
        field = self._expression(name)
        if not isinstance(wanted, dict):
            wanted = {"in" if isinstance(wanted, list) else "eq": wanted}
        if not wanted:
            raise ValueError(f"{name}: expected a value or operators with their values")
        parts = []
        kinds: set[str] = set()
        for operator, value in wanted.items():
            if operator not in OPERATORS:
                raise ValueError(f"{name}: unknown operator '{operator}'{suggestion(operator, OPERATORS)}")
            values = value if operator in LISTS else [value]
            if not isinstance(values, list) or not values or (operator == "between" and len(values) != 2):  # noqa: PLR2004
                raise ValueError(f"{name}: {operator} takes {'two values' if operator == 'between' else 'a list'}")
            kinds |= {_check(name, field.kind, operator, item) for item in values} - {_NO_VALUE}
            if len(kinds) > 1:
                raise ValueError(f"{name}: compared with values of more than one kind")
            kind = next(iter(kinds), TEXT)
            if field.kind == ITEM and kind == BOOLEAN:
                values = ["true" if item else "false" for item in values]
            if operator != "is_null":
                value = values if operator in LISTS else values[0]  # noqa: PLW2901
            parts.append(OPERATORS[operator](field.typed(kind), value))
        if name in RANGES:
            _check_range(name, wanted)
        return sql.SQL(" and ").join(parts)

    def text(self, name: str) -> sql.Composable:
        """The field as text, for values that are kept."""
        field = self._expression(name)
        return sql.SQL("({})::text").format(field.typed(TEXT))

    def has(self, name: str) -> bool:
        """Whether the source has the field."""
        column, _, rest = name.partition(".")
        if name in FIELDS[self.source]:
            return FIELDS[self.source][name][1] != ITEM
        if column == "customer":
            column, _, rest = rest.partition(".")
            kind = CUSTOMER_FIELDS.get(column)
            return kind is not None and (_is_path(rest) if kind == ITEM else not rest)
        if column == "session":
            return rest in SESSION_FIELDS and self.source in {"screen", "transaction"}
        if name in MOMENT:
            return True
        return FIELDS[self.source].get(column, ("", ""))[1] == ITEM and _is_path(rest)

    def _expression(self, name: str) -> Expression:
        if not self.has(name):
            if self.lenient:
                known = next(scope._expression(name) for each in SOURCES if (scope := self._of(each)).has(name))
                return known._replace(field=sql.SQL("null::" + CASTS[known.kind]))
            raise ValueError(f"unknown field '{name}' of source {self.source}")
        column, _, rest = name.partition(".")
        if column == "customer":
            return self._customer(*rest.split("."))
        if column == "session":
            return self._session(rest)
        if name in MOMENT:
            part, kind = MOMENT[name]
            moment = sql.SQL(f"({AT[self.source]} at time zone z.time_zone)")
            pattern = "extract(" + part + " from {})::integer" if part else "{}::date"
            return Expression(sql.SQL(pattern).format(moment), kind)
        expression, kind = FIELDS[self.source][column]
        return Expression(sql.SQL(expression), kind, tuple(rest.split(".")) if rest else ())

    def _of(self, source: str) -> _Scope:
        return _Scope(source, self.schema, lenient=False)

    def _customer(self, column: str, *path: str) -> Expression:
        """As of the day of the event; a scalar subquery, so that it is looked up only where it decides."""
        lookup = sql.SQL(
            "(select u.{column} from {table} as u where u.customer_key = {key}"
            " and u.valid_from <= ({at} at time zone z.time_zone)::date order by u.valid_from desc limit 1)"
        ).format(
            column=sql.Identifier(column),
            table=sql.Identifier(self.schema, "customer"),
            key=sql.SQL(CUSTOMER[self.source]),
            at=sql.SQL(AT[self.source]),
        )
        return Expression(lookup, CUSTOMER_FIELDS[column], path)

    def _session(self, name: str) -> Expression:
        (schema, table, key), column = SESSION_FIELDS[name]
        lookup = sql.SQL("(select x.{column} from {table} as x where x.{key} = s.{key})").format(
            column=sql.Identifier(column),
            table=sql.Identifier(schema or self.schema, table),
            key=sql.Identifier(key),
        )
        if name == "inflow_channel":  # a session that came from nowhere came by itself
            lookup = sql.SQL("case when s.visitor_key is not null then coalesce({}, 'direct') end").format(lookup)
        return Expression(lookup, TEXT)


def _check_range(name: str, wanted: dict[str, Any]) -> None:
    lowest, highest, words = RANGES[name]
    possible = list(range(lowest, highest + 1))
    named = [wanted[operator] for operator in ("eq", "ne") if operator in wanted]
    named += [item for operator in ("in", "not_in") for item in wanted.get(operator, ())]
    if not set(possible).issuperset(named) or _excludes_itself({"in": possible, **wanted}):
        raise ValueError(f"{name}: cannot be reached: {words}, not {json.dumps(wanted.get('eq', wanted))}")


def _is_path(text: str) -> bool:
    parts = text.split(".")
    return len(parts) <= MAX_DEPTH and all(_SEGMENT.fullmatch(part) for part in parts)


def _check(name: str, kind: str, operator: str, item: Any) -> str:
    """The kind of a value; raises ValueError unless the operator can compare the field with it."""
    if operator == "is_null":
        if not isinstance(item, bool):
            raise ValueError(f"{name}: is_null takes true or false")
        return _NO_VALUE
    given = _kind_of(name, item)
    if operator in _TEXT_ONLY and (given != TEXT or kind not in {TEXT, ITEM}):
        raise ValueError(f"{name} is a {kind}; {operator} {item!r} is not possible")
    if kind == ITEM:
        wanted = given
    elif kind in {DATE, TIME}:
        _check_date(name, kind, item)
        wanted = TEXT
    else:
        wanted = kind
    if given != wanted:
        hint = f"put {item!r} in quotes" if kind == TEXT else f"{operator} {item!r} is not possible"
        raise ValueError(f"{name} is {'text' if kind == TEXT else f'a {kind}'}; {hint}")
    if operator == "matches":
        check_regular_expression(name, item)
    return given


def _kind_of(name: str, item: Any) -> str:
    if isinstance(item, bool):
        return BOOLEAN
    if isinstance(item, int | float):
        return NUMBER
    if not isinstance(item, str):
        raise ValueError(f"{name}: expected a text, a number, true or false, not {item!r}")
    if "\0" in item:
        raise ValueError(f"{name}: a NUL character cannot be matched")
    return TEXT


def _check_date(name: str, kind: str, item: Any) -> None:
    try:
        is_one = bool(WRITTEN[kind].fullmatch(item) and datetime.fromisoformat(item))
    except (TypeError, ValueError):
        is_one = False
    if not is_one:
        example = "2026-01-31" if kind == DATE else "2026-01-31T09:00:00+09:00"
        raise ValueError(f"{name} is a {kind}; write it like {example}, not {item!r}")
