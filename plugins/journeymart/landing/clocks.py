"""Times that no clock shows and senders write all the same: those that are skipped when clocks are put forward, and
those with an offset from UTC that no place has.
"""

from __future__ import annotations

import functools
from bisect import bisect
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

WEEK = 7 * 86_400  # no zone has put its clocks forward and back within one since 1970
END = int(datetime.fromisoformat("2200-01-01T00:00Z").timestamp())
# Beyond -15:59 to +15:59, which is all that PostgreSQL reads, where the same text may be cast later.
NO_OFFSET = "[-+](?:1[6-9]|[2-9]|[0-9]{2}(?::?[0-9]{2})?:?[6-9])[0-9:]*"
ISO_NO_OFFSET = rf"[T: ][^-+]*{NO_OFFSET}\s*$"  # a date alone may end as if it had one


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
