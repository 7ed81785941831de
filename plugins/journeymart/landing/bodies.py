"""Delimited and JSON bodies of transaction messages → items, as definitions/transactions.yml names them.

One message at a time: such bodies have no positions that could be cut together.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from journeymart.definitions.transactions import Group, Item, Transaction
from journeymart.landing.clocks import ISO_NO_OFFSET

SHOWN_CHARACTERS = 80
NUMBER = re.compile(r"[+-]?\d{1,22}(?:\.\d{1,16})?", re.ASCII)
SCIENTIFIC = re.compile(r"[+-]?\d+(?:\.\d*)?[eE][+-]?\d+", re.ASCII)
# 20260601, 20260601103000, 20260601103000123 as ISO 8601 has them; ISO 8601 itself stays.
PACKED_TIME = re.compile(r"(\d{8})(\d{6})?(\d{3})?", re.ASCII)


@dataclass
class Body:
    """What a body says: fields of the source, the other items as JSON, what no item is laid out for, or a mistake."""

    columns: dict[str, str] = field(default_factory=dict)
    fields: str = "{}"
    properties: str | None = None
    problem: tuple[str | None, str] | None = None  # (item, reason)


class _WrongError(Exception):
    """A body is not as laid out."""

    def __init__(self, item: str | None, reason: str) -> None:
        super().__init__(reason)
        self.item = item


def read_body(content: bytes, transaction: Transaction, encoding: str) -> Body:
    """Read one body. One that is not as laid out has a `problem` and the columns that could be read before it."""
    body = Body()
    read = _delimited if transaction.body == "delimited" else _json
    try:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            raise _WrongError(None, f"The body is not {encoding.upper()} at its byte {error.start + 1}.") from error
        members = read(text, transaction, body)
        body.fields = "{" + ",".join(members) + "}"
    except _WrongError as error:
        body.problem = error.item, str(error)
    return body


def _delimited(text: str, transaction: Transaction, body: Body) -> list[str]:
    """Members of a body whose values stand in the order of the items."""
    values = text.split(transaction.delimiter) if text else []
    taken = 0

    def take(item: Item) -> str:
        nonlocal taken
        if taken == len(values):
            raise _WrongError(item.name, f"The body ends before {item.name}, after {taken} values.")
        taken += 1
        return values[taken - 1]

    members = []
    counts: dict[str, str] = {}
    for entry in transaction.items:
        if isinstance(entry, Item):
            found = _value(entry, take(entry))
            counts[entry.name] = found or "0"
            members += _kept(entry, found, body)
        else:
            count = _count(entry, counts[entry.count])
            members.append(_listed(entry, [[take(item) for item in entry.items] for _ in range(count)]))
    if taken < len(values):
        raise _WrongError(None, f"The body has {len(values)} values instead of {taken}.")
    return members


def _json(text: str, transaction: Transaction, body: Body) -> list[str]:
    """Members of a body that is a JSON object."""
    try:
        # Numbers as they are written: a float would hold no more than 15 digits.
        given = json.loads(
            text, parse_float=_Digits, parse_int=_Digits, parse_constant=_Digits, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise _WrongError(None, "The body is not JSON.") from error
    if not isinstance(given, dict):
        raise _WrongError(None, "The body is not a JSON object.")
    members = []
    for entry in transaction.items:
        raw = given.pop(entry.key or entry.name, None)
        if isinstance(entry, Item):
            members += _kept(entry, _value(entry, raw), body)
        elif raw is not None:
            if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
                raise _WrongError(entry.name, f"{entry.name} is not a list of objects.")
            _count(entry, str(len(raw)))
            members.append(_listed(entry, [[each.get(item.key or item.name) for item in entry.items] for each in raw]))
    if given:
        body.properties = _written(given)
    return members


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object in JSON. Raises _WrongError for a key that comes twice: which value was meant, nobody can say."""
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise _WrongError(None, f"The body has the key {_shown(key)} twice.")
        members[key] = value
    return members


class _Digits(str):
    """A number in JSON, as it is written."""

    __slots__ = ()


def _written(value: Any) -> str:
    """JSON with its numbers as they came; what is no JSON number (NaN) becomes text."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_written(member)}" for key, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, _Digits) and value.strip("+-")[:1].isdigit():
        return str(value)
    return json.dumps(value)


def _count(group: Group, count: str) -> int:
    number = Decimal(count)
    if not 0 <= number <= group.times or number % 1:
        what = group.count or "Its number of entries"
        raise _WrongError(
            group.count or group.name, f"{what} is not between 0 and {group.times}, the most that {group.name} has."
        )
    return int(number)


def _listed(group: Group, entries: list[list[Any]]) -> str:
    """A group as a member: a list of objects."""
    objects = []
    for values in entries:
        pairs = zip(group.items, values, strict=True)
        found = [(item, _value(item, raw)) for item, raw in pairs]
        objects.append("{" + ",".join(_member(item, value) for item, value in found if value is not None) + "}")
    return f'"{group.name}":[{",".join(objects)}]'


def _kept(item: Item, value: str | None, body: Body) -> list[str]:
    """The member that an item becomes, none if it fills a field or has no value."""
    if value is None:
        return []
    if item.field is None:
        return [_member(item, value)]
    body.columns[item.field] = value
    return []


def _member(item: Item, value: str) -> str:
    return f'"{item.name}":{value if item.type == "number" else json.dumps(value)}'


def _value(item: Item, raw: Any) -> str | None:
    """The value of an item as text; None if there is none. Raises _WrongError if it is not of its kind."""
    if raw is None:
        return None
    text = json.dumps(raw) if isinstance(raw, bool) else raw
    if not isinstance(text, str):
        raise _WrongError(item.name, f"{item.name} is not one value: '{_written(raw)[:SHOWN_CHARACTERS]}'.")
    text = text.strip(" \u3000")
    if not text or (item.type in ("date", "time") and not text.strip("0")):  # as in bodies that are fixed
        return None
    if item.values is not None:
        if text not in item.values:
            raise _WrongError(item.name, f"{item.name} is not one of {', '.join(item.values)}: {_shown(text)}.")
        return item.values[text]
    try:
        text.encode()  # half a character, which JSON can escape, is none
        return _KINDS[item.type](text)
    except ValueError as error:
        is_scientific = item.type == "number" and SCIENTIFIC.fullmatch(text)
        wrong = "in scientific notation" if is_scientific else f"not a {item.type}"
        raise _WrongError(item.name, f"{item.name} is {wrong}: {_shown(text)}.") from error


def _shown(text: str) -> str:
    return f"'{text[:SHOWN_CHARACTERS].encode(errors='backslashreplace').decode()}'"


def _number(text: str) -> str:
    if not NUMBER.fullmatch(text):
        raise ValueError(text)
    return f"{Decimal(text):f}"


def _time(text: str) -> datetime:
    packed = PACKED_TIME.fullmatch(text)
    if packed is None:
        if re.search(ISO_NO_OFFSET, text):
            raise ValueError(text)
        return datetime.fromisoformat(text)
    day, clock, milliseconds = packed.groups()
    return datetime.fromisoformat(f"{day}T{clock or '000000'}" + (f".{milliseconds}" if milliseconds else ""))


_KINDS: dict[str, Callable[[str], str]] = {
    "text": str,
    "number": _number,
    "date": lambda text: _time(text).date().isoformat(),
    "time": lambda text: _time(text).isoformat(sep=" "),
}
