"""Durations as people write them: 30m, 14d; and how often within one: 1 per 7d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema, model_validator

from journeymart.definitions.loader import DefinitionModel

MAX_TIMES = 100
MAX_YEARS = 100  # what is computed from now stays a date, for Python and for the database

_DURATION = re.compile(r"^(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d|w)$")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(value: object) -> timedelta:
    """`30m`, `14d`, `500ms` … as a timedelta; raises ValueError naming the units for anything else, and for
    more than 100 years."""
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a duration such as 30m, 14d or 500ms (units {', '.join(_SECONDS)}), not {value!r}")
    seconds = float(match["count"]) * _SECONDS[match["unit"]]
    if seconds > timedelta(days=365.25 * MAX_YEARS).total_seconds():
        raise ValueError(f"a duration is at most {MAX_YEARS} years, not {value!r}")
    return timedelta(seconds=seconds)


def _as_written(duration: timedelta) -> str:
    """In the largest unit of which it is a whole number, days at most: `7d`, not `604800s`."""
    seconds = duration.total_seconds()
    unit = next((unit for unit in ("d", "h", "m", "s") if not seconds % _SECONDS[unit]), "ms")
    return f"{seconds / _SECONDS[unit]:.15g}{unit}"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(_as_written, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern.replace("?P<count>", "").replace("?P<unit>", "")}),
]


def _in_words(schema: dict[str, Any]) -> None:
    """What editors are told of a cap: a text, not its parts."""
    schema.clear()
    schema.update(type="string", pattern="^[0-9]+ per [0-9.]+[a-z]+$")


class Cap(DefinitionModel):
    """At most `times` within `per`; written as `1 per 7d`."""

    model_config = ConfigDict(json_schema_extra=_in_words)

    times: Annotated[int, Field(ge=1, le=MAX_TIMES)]
    per: Duration

    @model_validator(mode="before")
    @classmethod
    def _from_words(cls, value: object) -> object:
        words = value.split(" per ") if isinstance(value, str) else []
        if len(words) != 2 or not words[0].isdecimal():  # noqa: PLR2004 - a count and a duration
            raise ValueError(f"expected how often within how long, such as 1 per 7d, not {value!r}")
        return {"times": int(words[0]), "per": words[1]}
