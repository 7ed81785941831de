"""Durations as people write them: 30m, 14d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"^(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d|w)$")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_duration(value: object) -> timedelta:
    """`30m`, `14d`, `500ms` … as a timedelta; raises ValueError naming the units for anything else."""
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a duration such as 30m, 14d or 500ms (units {', '.join(_SECONDS)}), not {value!r}")
    return timedelta(seconds=float(match["count"]) * _SECONDS[match["unit"]])


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(lambda value: f"{value.total_seconds():g}s", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": _DURATION.pattern.replace("?P<count>", "").replace("?P<unit>", "")}),
]
