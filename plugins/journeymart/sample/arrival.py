"""When and in which file each event arrives: late, twice, in a late file, or broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from journeymart.sample.pages import APP
from journeymart.sample.simulate import DAY, HOUR, MINUTE, Rows

LATE_SHARE: Final = 0.01
LATE_MEAN: Final = 6 * HOUR
LATEST: Final = 46 * HOUR
LATE_AFTER: Final = HOUR
"""An event counts as late when it was received this long after it happened."""
LATE_FILE_EVERY_DAYS: Final = 4
LATE_FILE_DAYS: Final = 2
"""How many days after the events their late file lands."""
LATE_FILE_SHARDS: Final = 8
DUPLICATE_SHARE: Final = 0.005
NEXT_DAY_DUPLICATES: Final = 0.2
BROKEN_SHARE: Final = 0.0004
SMALLEST_FILE_WITH_BROKEN_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Defect:
    """One way for a line to be broken: what it is called in truth.json, and which field it concerns."""

    reason: str
    field: str | None


DEFECTS: Final = (
    Defect("sound", None),
    Defect("malformed", None),
    Defect("missing_required", "event_id"),
    Defect("missing_required", "event_time"),
    Defect("missing_required", "visitor_id"),
    Defect("unknown_value", "action_type"),
    Defect("bad_time", "event_time"),
)
_MALFORMED, _BAD_TIME = 1, 6
BAD_TIMES: Final = ("2026-13-45T09:00:00.000+09:00", "어제 오후 3시", "1751000000x")

# What each format can express: a column of times holds no words, and a short CSV line is a matter of the reader.
DEFECTS_OF_FORMAT: Final = {
    "ndjson": (1, 2, 3, 4, 5, 6),
    "csv": (2, 3, 4, 5, 6),
    "parquet": (2, 3, 4, 5),
}


def break_record(record: dict[str, Any], defect: int, salt: int) -> dict[str, Any]:
    """Return a copy of a sound record with the defect in it (a malformed line is cut when it is text)."""
    broken = dict(record)
    name = DEFECTS[defect].field
    if name is None:
        return broken
    if DEFECTS[defect].reason == "missing_required":
        broken[name] = None
    elif defect == _BAD_TIME:
        broken[name] = BAD_TIMES[salt % len(BAD_TIMES)]
    else:
        broken[name] = "hover"
    return broken


def break_json(line: str, defect: int, salt: int) -> str:
    """Return an NDJSON line (without its end) with the defect in it."""
    if defect == _MALFORMED:
        return line[: len(line) * 2 // 3]
    record = {name: value for name, value in break_record(json.loads(line), defect, salt).items() if value is not None}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


class Delivery:
    """Sorts events into the files of the days on which they arrive."""

    def __init__(self, seed: int) -> None:
        """Start with nothing under way."""
        self.seed = seed
        self._under_way: dict[int, list[Rows]] = {}

    def accept(self, rows: Rows, day: int) -> None:
        """Decide when the events of day `day` (1…) arrive; some arrive twice."""
        rng = np.random.default_rng([self.seed, 4, day])
        n = len(rows)
        late = (rng.random(n) < LATE_SHARE) & ~rows["is_bot"]
        delay = np.minimum(rng.exponential(LATE_MEAN, int(late.sum())), LATEST)
        rows["received"][late] += delay.astype(np.int64)
        if day % LATE_FILE_EVERY_DAYS == 1:
            # One collector of app events was cut off from the rest and delivered two days later.
            held = (rows["visitor"] % LATE_FILE_SHARDS == 0) & (rows["kind"] == APP) & (rows["ts"] < day * DAY)
            rows["late_file"] = held
            arrival = (day - 1 + LATE_FILE_DAYS) * DAY + 3 * HOUR
            rows["received"][held] = arrival + rng.integers(0, 20 * MINUTE, int(held.sum()))
        again = rows[(rng.random(n) < DUPLICATE_SHARE) & ~rows["late_file"]].copy()
        arrived = again["received"] // DAY
        again["received"] += rng.integers(100, 2 * HOUR, len(again))
        again["received"][rng.random(len(again)) < NEXT_DAY_DUPLICATES] += DAY
        again["duplicate"] = np.where(again["received"] // DAY == arrived, 1, 2)
        everything = np.concatenate([rows, again])
        arrives = everything["received"] // DAY + 1
        for number in np.unique(arrives).tolist():
            self._under_way.setdefault(number, []).append(everything[arrives == number])

    def files(self, day: int, file_format: str) -> Iterator[tuple[bool, Rows]]:
        """Yield (is a late file, its rows in order of arrival, broken lines included) for the folder of `day`."""
        arrived = self._under_way.pop(day, [])
        if not arrived:
            return
        rows = np.concatenate(arrived)
        for late_file in (False, True):
            part = rows[rows["late_file"] == late_file]
            if len(part):
                yield late_file, self._with_broken_lines(part, day, "ndjson" if late_file else file_format, late_file)

    def _with_broken_lines(self, rows: Rows, day: int, file_format: str, late_file: bool) -> Rows:
        rng = np.random.default_rng([self.seed, 5, day, int(late_file)])
        rows = rows[np.lexsort((rows["event_no"], rows["received"]))]
        if len(rows) < SMALLEST_FILE_WITH_BROKEN_LINES:
            return rows
        ways = DEFECTS_OF_FORMAT[file_format]
        count = max(1 if late_file else len(ways), int(len(rows) * BROKEN_SHARE))
        after = np.sort(rng.integers(0, len(rows), count))
        broken = rows[after].copy()
        # Numbers of their own, so that a broken line is nobody's duplicate.
        broken["event_no"] = (np.uint64(1) << np.uint64(62)) + (np.uint64(day * 2 + late_file) << np.uint64(32))
        broken["event_no"] += np.arange(count, dtype=np.uint64)
        broken["broken"] = np.resize(rng.permutation(ways), count)
        broken["duplicate"] = 0
        return np.insert(rows, after + 1, broken)


def is_late(rows: Rows) -> Any:
    """Whether each row was received late, as a boolean array."""
    return rows["received"] - rows["ts"] >= LATE_AFTER
