"""Clocks that are put forward: the times that they skip exist nowhere, and senders write them all the same."""

from __future__ import annotations

import functools
from bisect import bisect
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

WEEK = 7 * 86_400  # no zone has put its clocks forward and back within one since 1970
END = int(datetime.fromisoformat("2200-01-01T00:00Z").timestamp())


@functools.cache
def skips(zone: str) -> list[tuple[int, int]]:
    """Stretches (begin, end) of seconds of the epoch, from 1970 on and in order, one behind each moment at which the
    clocks of a zone are put forward: in there are the moments that a skipped time is read as."""
    clock = ZoneInfo(zone)

    def offset(seconds: int) -> timedelta:
        return datetime.fromtimestamp(seconds, clock).utcoffset() or timedelta()

    found = []
    weeks = [(seconds, offset(seconds)) for seconds in range(0, END + WEEK, WEEK)]
    for (week, before), (_, after) in pairwise(weeks):
        if after > before:
            start = week + bisect(range(week, week + WEEK), before, key=offset)
            found.append((start, start + int((after - before).total_seconds())))
    return found
