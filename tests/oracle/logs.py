"""Random logs, and what they mean by the semantics of docs/semantics.md: the plain Python that the SQL is held against.

A log is a small day of one bank. Each lies on a date of its own and has its own visitors and customers, so that
hundreds of them are one landing, one run, and each is asked about by its date.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

# Each batch is one warehouse; the nightly run sets JOURNEYMART_ORACLE_LOGS=10000.
BATCH = 300
BATCHES = math.ceil(int(os.environ.get("JOURNEYMART_ORACLE_LOGS", BATCH)) / BATCH)
FIRST_DATE = date(2024, 1, 1)
SEOUL = ZoneInfo("Asia/Seoul")
GAP = timedelta(minutes=30)

NO_PAGE = "(none)"  # the node of an event that has neither page code nor address
PAGES = ("A", "B", "C", "D", NO_PAGE)
EXIT = (NO_PAGE, "app")  # page and channel on which sessions are left
TRANSACTIONS = ("T", "A")  # a transaction may have the code of a page
RESULTS = ("0", "1", None)


@dataclass(frozen=True)
class Item:
    """One line: a screen event, or a transaction; `error` is (code, page)."""

    gap_ms: int
    kind: str
    node: str
    visitor: int
    customer: int | None
    channel: str
    domain: str
    error: tuple[str, str | None] | None

    @property
    def device_type(self) -> str:
        """Follows from the others, so that it changes within sessions too."""
        return ("mobile", "desktop")[(self.visitor + (self.customer or 0)) % 2]


@dataclass
class Session:
    """A session as the semantics define it: steps are (node, arrived at), kind by node in `kinds`."""

    visitor: str
    customer: str | None
    channel: str
    domain: str
    device_type: str
    date: date
    started_at: datetime
    ended_at: datetime
    nodes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    errors: list[tuple[str, str | None, int]] = field(default_factory=list)  # code, page, position from 0


_ITEMS = st.builds(
    Item,
    # ties, the next moment, and the time-out on the dot
    gap_ms=st.sampled_from([0, 0, 1, 1_000, 60_000, 600_000, 1_799_999, 1_800_000, 1_800_001]),
    kind=st.sampled_from(["screen"] * 7 + ["transaction"]),
    node=st.sampled_from(PAGES),
    visitor=st.integers(1, 3),
    customer=st.sampled_from([None, None, None, 1, 2]),
    channel=st.sampled_from(["web", "web", "app"]),
    domain=st.sampled_from(["one", "one", "two"]),
    error=st.sampled_from([None] * 6 + [("X1", None), ("X1", "A"), ("X2", "B")]),
)
_LOGS = st.lists(_ITEMS, min_size=1, max_size=24)
# What nightly runs have found, in its smallest form: a part of every batch.
FOUND = [
    [  # of two channels, one gets as far as the other at the same moment, but first
        Item(gap_ms, kind, node, 1, 1, channel, "one", None)
        for gap_ms, kind, node, channel in (
            (0, "screen", "C", "app"), (1, "screen", "D", "app"),
            (0, "screen", "A", "web"), (0, "transaction", "A", "web"),
        )
    ]
]  # fmt: skip


def generate(batch: int) -> list[list[Item]]:
    """The logs of a batch, the same every time."""
    logs: list[list[Item]] = []

    @seed(batch)
    @settings(
        max_examples=BATCH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_LOGS)
    def collect(log: list[Item]) -> None:
        logs.append(log)

    collect()
    return logs + FOUND


def code_of(item: Item) -> str:
    """The transaction code of an item that is a transaction."""
    return TRANSACTIONS[PAGES.index(item.node) % len(TRANSACTIONS)]


def action_of(item: Item) -> str:
    """What a screen event is: an error, the end of a session, or a view."""
    if (item.node, item.channel) == EXIT:
        return "exit"
    return "error" if item.error else "view"


def date_of(number: int) -> date:
    """The date on which a log of a batch lies."""
    return FIRST_DATE + timedelta(days=number)


LandedLine = tuple[int, datetime, Item]  # number of the log, when, what


def land(logs: list[list[Item]], landing: Path, shuffle_seed: int) -> list[list[Session]]:
    """Write all logs as landing files, lines in any order, and return each log's sessions, oldest first."""
    screens, transactions = lines(logs, shuffle_seed)
    _write(landing / "clickstream" / "all.ndjson", (
        {
            "event_id": f"e{line}", "event_time": at.isoformat(), "visitor_id": f"{number}-v{item.visitor}",
            "customer_id": item.customer and f"{number}-c{item.customer}",
            "page_code": None if item.node == NO_PAGE else item.node,
            "channel": item.channel, "domain": item.domain, "device_type": item.device_type,
            "user_agent": "Mozilla/5.0", "action_type": action_of(item),
            "error_code": item.error and item.error[0], "error_page": item.error and item.error[1],
        }
        for line, (number, at, item) in enumerate(screens)
    ))  # fmt: skip
    _write(landing / "transactions" / "all.ndjson", (
        {
            "transaction_id": f"t{line}", "transaction_time": at.isoformat(), "visitor_id": f"{number}-v{item.visitor}",
            "customer_id": f"{number}-c{item.customer or 1}", "channel": "web",
            "transaction_code": code_of(item), "result_code": RESULTS[line % len(RESULTS)],
        }
        for line, (number, at, item) in enumerate(transactions)
    ))  # fmt: skip
    return [
        _sessions(number, *(
            sorted(((at, line, item) for line, (owner, at, item) in enumerate(lines) if owner == number),
                   key=lambda entry: entry[:2])
            for lines in (screens, transactions)
        ))
        for number in range(len(logs))
    ]  # fmt: skip


def lines(logs: list[list[Item]], shuffle_seed: int) -> tuple[list[LandedLine], list[LandedLine]]:
    """What lands, in the order of its lines: screens and transactions."""
    screens: list[LandedLine] = []
    transactions: list[LandedLine] = []
    for number, log in enumerate(logs):
        now = datetime.combine(date_of(number), datetime.min.time(), SEOUL) + GAP
        for item in log:
            now += timedelta(milliseconds=item.gap_ms)
            (screens if item.kind == "screen" else transactions).append((number, now, item))
    chance = random.Random(shuffle_seed)
    chance.shuffle(screens)
    chance.shuffle(transactions)
    return screens, transactions


def _write(path: Path, lines: Iterable[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


Line = tuple[datetime, int, Item]


def _sessions(number: int, screens: list[Line], transactions: list[Line]) -> list[Session]:
    """Sessions of a log: per visitor, ended by a silence of more than 30 minutes.

    A transaction belongs to the visitor's last session that had begun, if it was made at most 30 minutes after that
    session's last event, but not if the session belongs to another customer.
    """
    result = []
    for visitor in (1, 2, 3):
        runs: list[list[Line]] = []
        for line in (line for line in screens if line[2].visitor == visitor):
            if not runs or line[0] - runs[-1][-1][0] > GAP:
                runs.append([])
            runs[-1].append(line)
        # of the one customer who logs in during it; if nobody does, of the one user of the device
        users = {item.customer for run in runs for _, _, item in run if item.customer}
        owners = [{item.customer for _, _, item in run if item.customer} or users for run in runs]
        made: list[list[Line]] = [[] for _ in runs]
        for line in (line for line in transactions if line[2].visitor == visitor):
            begun = [
                place
                for place, run in enumerate(runs)
                if run[0][0] <= line[0] <= run[-1][0] + GAP
                and (len(owners[place]) != 1 or owners[place] == {line[2].customer or 1})
            ]
            if begun:
                made[begun[-1]].append(line)
        result += [_session(number, *of) for of in zip(runs, made, owners, strict=True)]
    return sorted(result, key=lambda session: (session.started_at, session.visitor))


def _session(number: int, run: list[Line], transactions: list[Line], owners: set[int]) -> Session:
    first = run[0][2]
    session = Session(
        visitor=f"{number}-v{first.visitor}",
        customer=f"{number}-c{min(owners)}" if len(owners) == 1 else None,
        channel=first.channel,
        domain=first.domain,
        device_type=first.device_type,
        date=run[0][0].astimezone(SEOUL).date(),
        started_at=run[0][0].astimezone(UTC),
        ended_at=run[-1][0].astimezone(UTC),
    )
    happened = [(at, 0, line, item) for at, line, item in run] + [
        (at, 1, line, item) for at, line, item in transactions
    ]
    moments: list[tuple[datetime, int, int]] = []
    page = None
    for at, rank, line, item in sorted(happened, key=lambda entry: entry[:3]):
        kind, node = ("page", item.node) if rank == 0 else ("transaction", code_of(item))
        # a transaction is made on a page; staying there afterwards is no further step
        stays = kind == "page" and node == page
        page = node if kind == "page" else page
        if not stays and (kind, node) != ((session.kinds or [""])[-1], (session.nodes or [""])[-1]):
            session.nodes.append(node)
            session.kinds.append(kind)
            session.times.append(at.astimezone(UTC))
            moments.append((at, rank, line))
    for at, line, item in run:
        if item.error:
            session.errors.append((*item.error, sum(moment <= (at, 0, line) for moment in moments) - 1))
    return session
