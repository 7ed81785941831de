"""Canary customers: what definitions/canaries.yml lets happen every day, and whether the published mart shows it.

`send` writes the day's lines into the landing zone and notes when they have to be seen. `check` reads the mart as the
dashboards do and names the first hop at which something is not as it should be: the file, its lines, the session, the
timeline, a funnel, a rule. The outcome is in ops.canary.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.types.json import Jsonb

from journeymart.db import connect, exists
from journeymart.definitions.canaries import Canary, load_canaries
from journeymart.definitions.sessions import time_zone
from journeymart.definitions.sources import load_sources
from journeymart.errors import JourneymartError
from journeymart.landing.protection import SECRET, Protection
from journeymart.sample.write import write_done, write_ndjson
from journeymart.settings import Settings


class CanaryMissingError(JourneymartError):
    """What a canary did is not what the system shows."""


@dataclass(frozen=True)
class Sent:
    """A canary of a day that is to be seen from now on; no files where a robot makes the journey."""

    canary_id: str
    canary_date: date
    files: tuple[str, ...]


@dataclass(frozen=True)
class Missing:
    """What is not as it should be. Hops are publication, file, lines, session, timeline, funnel, rule and audience."""

    hop: str
    what: str
    expected: str
    seen: str

    def __str__(self) -> str:
        return f"{self.hop} {self.what}".rstrip() + f": expected {self.expected}, seen {self.seen}"


@dataclass(frozen=True)
class Outcome:
    """What was seen of a canary; nothing missing is what is wanted."""

    canary_id: str
    canary_date: date
    missing: tuple[Missing, ...]

    def __str__(self) -> str:
        found = "; ".join(map(str, self.missing)) or "seen"
        return f"{self.canary_id} {self.canary_date}: {found}"


def send(settings: Settings, landing: Path, day: date | None = None, definitions: Path | None = None) -> list[Sent]:
    """Write the lines of `day` (default: today) whose journeys are over by now, each canary once.

    The same day has the same lines with the same ids: killed and repeated, they land once.
    """
    zone, now, sent = time_zone(definitions), datetime.now(UTC), []
    day = day or now.astimezone(zone).date()
    for canary in load_canaries(definitions):
        if canary.steps and datetime.combine(day, canary.steps[-1].at, zone) > now:
            continue
        with connect("jm_builder", settings=settings) as connection:
            due_at = datetime.now(UTC) + canary.within
            is_new = connection.execute(
                "insert into ops.canary (canary_id, canary_date, label, due_at) values (%s, %s, %s, %s)"
                " on conflict do nothing",
                (canary.id, day, Jsonb(canary.label.model_dump()), due_at),
            ).rowcount
            if not is_new:
                continue
            files = []
            for source, lines in canary.lines(day, zone).items():
                path = landing / _path(source, canary, day)
                write_ndjson(path, (json.dumps(line) for line in lines))
                write_done(path, len(lines), sha256=True)
                files.append(_path(source, canary, day))
        sent.append(Sent(canary.id, day, tuple(files)))
    return sent


def check(settings: Settings, day: date | None = None, definitions: Path | None = None) -> list[Outcome]:
    """Compare what is expected of `day` with what is published; without a day, of the last one that each canary has to
    be seen of by now. Leaves the outcome in ops.canary."""
    zone = time_zone(definitions)
    with connect("jm_builder", settings=settings) as connection:
        due: dict[str, date] = dict(connection.execute(
            "select canary_id, max(canary_date) from ops.canary where due_at <= now() group by canary_id"
        ).fetchall())  # fmt: skip
    days = [(canary, day or due.get(canary.id)) for canary in load_canaries(definitions)]
    with connect("jm_dashboard", settings=settings) as mart:
        outcomes = [
            Outcome(canary.id, at, tuple(_missing(mart, settings, canary, at, zone, definitions)))
            for canary, at in days
            if at is not None
        ]
    with connect("jm_builder", settings=settings) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "update ops.canary set checked_at = clock_timestamp(), is_seen = %(hop)s::text is null, hop = %(hop)s,"
            " missing = %(missing)s where canary_id = %(id)s and canary_date = %(day)s",
            [
                {
                    "hop": outcome.missing[0].hop if outcome.missing else None,
                    "missing": "; ".join(map(str, outcome.missing)) or None,
                    "id": outcome.canary_id,
                    "day": outcome.canary_date,
                }
                for outcome in outcomes
            ],
        )
    return outcomes


def require(outcomes: list[Outcome]) -> None:
    """Raise CanaryMissingError with everything that is missing."""
    missing = [str(outcome) for outcome in outcomes if outcome.missing]
    if missing:
        raise CanaryMissingError(" | ".join(missing))


def _path(source: str, canary: Canary, day: date) -> str:
    return f"{source}/canary/{canary.id}-{day:%Y%m%d}.ndjson.gz"


def _missing(
    mart: psycopg.Connection, settings: Settings, canary: Canary, day: date, zone: ZoneInfo, definitions: Path | None
) -> Iterator[Missing]:
    """From hop to hop; where a file is not wholly in the mart, the hops behind it have no more to say."""
    if not exists(mart, "mart.landed_file"):
        yield Missing("publication", "", "one", "none: nothing has been published")
        return
    files = list(_of_files(mart, canary, day, zone))
    yield from files
    if files:
        return
    protection = Protection(load_sources(definitions).personal, settings.secret(SECRET))
    customer, device = canary.named(canary.customer_id, day), canary.named(canary.visitor_id, day)
    whose: dict[str, Any] = {
        # as landed: kept, or a pseudonym
        "customers": [customer, protection.key(customer), protection.pseudonym("customer", customer)],
        "devices": [device, protection.key(device), protection.pseudonym("device", device)],
        "funnels": list(canary.expect.funnels),
        "day": day,
        "from_at": datetime.combine(day, datetime.min.time(), zone),
        "to_at": datetime.combine(day + timedelta(days=1), datetime.min.time(), zone),
    }
    expect = canary.expect
    sessions = _listed(_session(item.path, item.transactions) for item in expect.sessions)
    yield from _compared("session", "", sessions, _sessions(mart, whose))
    timeline = mart.execute(
        """
        select kind, count(*) from mart.timeline
        where customer_id = any(%(customers)s) and happened_at >= %(from_at)s and happened_at < %(to_at)s
        group by kind
        """,
        whose,
    ).fetchall()
    yield from _compared("timeline", "", _counted(expect.timeline), _counted(dict(timeline)))
    reached: dict[str, int] = dict(mart.execute(
        """
        select funnel_id, max(step_reached) from mart.funnel_entry
        where
            (subject_id = any(%(customers)s) or subject_id = any(%(devices)s))
            and funnel_id = any(%(funnels)s) and entry_date = %(day)s
        group by funnel_id
        """,
        whose,
    ).fetchall())  # fmt: skip
    for funnel_id, step in expect.funnels.items():
        yield from _compared("funnel", funnel_id, f"step {step}", f"step {reached.get(funnel_id, 0)}")
    hits = mart.execute(
        "select distinct rule_id from mart.detection"
        " where (customer_id = any(%(customers)s) or visitor_id = any(%(devices)s)) and detection_date = %(day)s",
        whose,
    ).fetchall()
    for rule_id in expect.rules:
        yield from _compared("rule", rule_id, "a hit", "a hit" if (rule_id,) in hits else "none")
    audiences = mart.execute(
        "select distinct export_id from mart.audience_member where customer_id = any(%(customers)s) order by 1", whose
    ).fetchall()
    yield from _compared("audience", "", "none", _listed(name for (name,) in audiences))


def _of_files(mart: psycopg.Connection, canary: Canary, day: date, zone: ZoneInfo) -> Iterator[Missing]:
    for source, lines in canary.lines(day, zone).items():
        path = _path(source, canary, day)
        rows = mart.execute(
            """
            select status, rows_mart, rows_quarantined, rows_duplicate, rows_bot, error from mart.landed_file
            where source = %s and path = %s and status <> 'repeated' order by file_id desc limit 1
            """,
            (source, path),
        ).fetchall()
        if not rows:
            yield Missing("file", path, "landed", "not landed")
            continue
        [(status, published, quarantined, duplicate, bot, error)] = rows
        if status != "loaded":
            yield Missing("file", path, "loaded and published", error or status)
        elif published != len(lines):
            places = {"in quarantine": quarantined, "duplicate": duplicate, "of robots": bot}
            seen = [f"{published} in the mart", *(f"{count} {place}" for place, count in places.items() if count)]
            yield Missing("lines", f"of {path}", f"{len(lines)} in the mart", ", ".join(seen))


def _sessions(mart: psycopg.Connection, whose: dict[str, Any]) -> str:
    """The customer's sessions of the day, each as the nodes that the mart shows of it."""
    rows = mart.execute(
        """
        with session as (
            select session_id, started_at, transactions from mart.session
            where customer_id = any(%(customers)s) and session_date = %(day)s
        ),

        happened as (
            select session_id, event_at as at, 0 as place, row_id, node from mart.event
            where visitor_id = any(%(devices)s) and event_at >= %(from_at)s and event_at < %(to_at)s
            union all
            select session_id, transacted_at, 1, row_id, transaction_code from mart.transaction
            where customer_id = any(%(customers)s) and transacted_at >= %(from_at)s and transacted_at < %(to_at)s
        )

        select
            s.transactions,
            coalesce(array_agg(h.node order by h.at, h.place, h.row_id) filter (where h.session_id is not null), '{}')
        from session as s
        left join happened as h on s.session_id = h.session_id
        group by s.session_id, s.started_at, s.transactions
        order by s.started_at
        """,
        whose,
    ).fetchall()
    return _listed(_session((node for node, _ in groupby(nodes)), transactions) for transactions, nodes in rows)


def _session(path: Iterable[str], transactions: int) -> str:
    return f"{' > '.join(path)} with {transactions} transactions"


def _counted(kinds: Mapping[Any, int]) -> str:
    return _listed(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _listed(items: Iterable[str]) -> str:
    return ", ".join(items) or "none"


def _compared(hop: str, what: str, expected: str, seen: str) -> Iterator[Missing]:
    if expected != seen:
        yield Missing(hop, what, expected, seen)
