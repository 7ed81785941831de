"""Cohort reports and life cycles in plain Python, as docs/semantics.md words them, and random months to try them on."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.oracle.logs import BATCH, GAP, SEOUL

PERIODS = ("day", "week", "month")
STARTS = {"CH-DAY": "SX", "CH-WEEK": "SX", "CH-MONTH": "T"}
RETURNS = {"CH-DAY": "RX", "CH-WEEK": "T", "CH-MONTH": "T"}
APP = "XQ"  # pages of the app; the others are of the web
STATUSES = ("new", "returning", "resurrecting", "dormant")


@dataclass(frozen=True)
class Visit:
    """What one person does: `code` is a page (S starts, R returns, X both, Q neither) or the transaction T; or what
    becomes known of a customer from a day on, the grade V or B."""

    day: int
    second: int
    person: int
    code: str


@dataclass(frozen=True)
class Report:
    """What is asked of a cohort."""

    period: str
    mode: str
    entry: str
    ages: int
    brackets: tuple[int, ...] = ()


Cells = dict[tuple[date, int], tuple[int, int, bool]]
_VISITS = st.builds(
    Visit,
    day=st.sampled_from([0, 0, 1, 1, 2, 3, 6, 7, 8, 13, 14, 20, 27, 28, 31, 34, 41, 59, 62, 90]),
    second=st.sampled_from([0, 1, 40_000, 86_399]),
    person=st.integers(1, 3),  # the third is not a customer
    code=st.sampled_from("SSRRXQTVB"),
)
_LOGS = st.lists(_VISITS, min_size=1, max_size=16)


def generate(batch: int) -> list[list[Visit]]:
    """The logs of a batch, the same every time."""
    logs: list[list[Visit]] = []

    @seed(batch)
    @settings(
        max_examples=BATCH, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(_LOGS)
    def collect(log: list[Visit]) -> None:
        logs.append([visit for visit in log if visit.person != 3 or visit.code not in "TVB"])

    collect()
    return logs


def first_day(number: int) -> date:
    """A log has half a year to itself, whose last two months are for those who no longer come."""
    return date(1971 + number // 2, 1 + number % 2 * 6, 1)


def moment(number: int, visit: Visit) -> datetime:
    """When a visit happens; no week reaches into another log."""
    day = first_day(number) + timedelta(days=8 + visit.day)
    return datetime.combine(day, time(), SEOUL) + timedelta(seconds=visit.second)


def last_day(number: int) -> date:
    return first_day(number + 1) - timedelta(days=1)


class History:
    """What the persons of one log do, in the total order: (moment, person, code). `grades` are what is known of
    customers: (person, from) → grade."""

    def __init__(self, number: int, visits: list[tuple[int, Visit]]) -> None:
        ordered = sorted(visits, key=lambda item: (item[1].day, item[1].second, item[1].code == "T", item[0]))
        self.moments = [
            (moment(number, visit), f"{number}-p{visit.person}", visit.code)
            for _, visit in ordered
            if visit.code not in "VB"
        ]
        self.channels = list(self._channels())  # of the session of each moment; a transaction at the branch has none
        self.grades: dict[tuple[str, date], str] = {}
        for _, visit in sorted(visits, key=lambda item: item[0]):
            if visit.code in "VB":  # of two lines for one day the last landed counts
                self.grades[f"{number}-p{visit.person}", moment(number, visit).date()] = visit.code

    def _channels(self) -> Iterator[str | None]:
        last: dict[str, tuple[datetime, str]] = {}
        for at, person, code in self.moments:
            if code == "T":
                yield None
                continue
            before, channel = last.get(person, (datetime.min.replace(tzinfo=SEOUL), ""))
            if at - before > GAP:
                channel = channel_of(code)
            last[person] = (at, channel)
            yield channel

    def until(self, today: date) -> Iterator[tuple[str, list[tuple[date, str]]]]:
        """Each person with what they do up to a date."""
        persons: dict[str, list[tuple[date, str]]] = defaultdict(list)
        for at, person, code in self.moments:
            if at.date() <= today:
                persons[person].append((at.date(), code))
        yield from persons.items()


def channel_of(code: str) -> str:
    return "app" if code in APP else "web"


def land(logs: list[list[Visit]], landing: Path, shuffle_seed: int) -> list[History]:
    """Write all logs as landing files, lines in any order, and return what they mean."""
    lines = [(number, visit) for number, log in enumerate(logs) for visit in log]
    random.Random(shuffle_seed).shuffle(lines)
    files: dict[str, list[str]] = {"clickstream": [], "transactions": [], "customers": []}
    histories: dict[int, list[tuple[int, Visit]]] = defaultdict(list)
    for place, (number, visit) in enumerate(lines):
        at = moment(number, visit)
        person = f"{number}-p{visit.person}"
        histories[number].append((place, visit))
        if visit.code in "VB":
            files["customers"].append(json.dumps({
                "customer_id": person, "effective_date": at.date().isoformat(), "grade": visit.code,
            }))  # fmt: skip
        elif visit.code == "T":
            files["transactions"].append(json.dumps({
                "transaction_id": f"t{place}", "transaction_time": at.isoformat(), "customer_id": person,
                "transaction_code": "T", "channel": "branch",
            }))  # fmt: skip
        else:
            files["clickstream"].append(json.dumps({
                "event_id": f"e{place}", "event_time": at.isoformat(),
                "page_code": visit.code, "channel": channel_of(visit.code),
                "visitor_id": person, "customer_id": None if visit.person == 3 else person, "user_agent": "Mozilla",
            }))  # fmt: skip
    for source, texts in files.items():
        (landing / source).mkdir(parents=True)
        (landing / source / "all.ndjson").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return [History(number, histories[number]) for number in range(len(logs))]


def begin_of(day: date, period: str) -> date:
    """Where the period of a date begins; weeks begin on Monday."""
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def later(begin: date, period: str, count: int) -> date:
    """The period that begins `count` periods later."""
    if period == "month":
        months = begin.year * 12 + begin.month - 1 + count
        return date(months // 12, months % 12 + 1, 1)
    return begin + timedelta(days=count * (7 if period == "week" else 1))


def starts_in_sessions(
    history: History, cohort: str, period: str, today: date, channel: str | None
) -> set[tuple[date, str]]:
    """(period, person) of starts in a session of the channel; null: of all starts."""
    return {
        (begin_of(at.date(), period), person)
        for (at, person, code), of_session in zip(history.moments, history.channels, strict=True)
        if code in STARTS[cohort] and at.date() <= today and channel in {None, of_session}
    }


def members(
    history: History, cohort: str, report: Report, today: date, channel: str | None = None
) -> dict[date, dict[str, set[date]]]:
    """Period of the start → person → periods of the returns that come after the start; with a channel, only those with
    a start of the period in a session of it."""
    starts_there = starts_in_sessions(history, cohort, report.period, today, channel)
    found: dict[date, dict[str, set[date]]] = defaultdict(dict)
    for person, moments in history.until(today):
        for place, (day, code) in enumerate(moments):
            period = begin_of(day, report.period)
            if code in STARTS[cohort] and person not in found[period]:
                found[period][person] = {
                    begin_of(other, report.period) for other, what in moments[place + 1 :] if what in RETURNS[cohort]
                }
                if report.entry == "first":
                    break
    return {
        begin: {person: returns for person, returns in persons.items() if (begin, person) in starts_there}
        for begin, persons in found.items()
    }


def is_in(periods: set[date], begin: date, age: int, report: Report) -> bool:
    """Whether returns in these periods count at an age."""
    if report.mode == "unbounded":
        return any(period >= later(begin, report.period, age) for period in periods)
    last = _last_of(age, report)
    return any(later(begin, report.period, between) in periods for between in range(age, last + 1))


def _last_of(age: int, report: Report) -> int:
    if report.mode != "bracket":
        return age
    return min([first - 1 for first in report.brackets if first > age] + [report.ages])


def retention(history: History, cohort: str, report: Report, today: date, channel: str | None = None) -> Cells:
    """(start, age) → persons who start, who return, and whether that age is over."""
    cells = {}
    for begin, persons in members(history, cohort, report, today, channel).items():
        for age in range(report.ages + 1):
            is_shown = report.mode != "bracket" or age == 0 or age in report.brackets
            if persons and is_shown and later(begin, report.period, age) <= today:
                returned = sum(is_in(periods, begin, age, report) for periods in persons.values())
                after = later(begin, report.period, _last_of(age, report) + 1)
                cells[begin, age] = (len(persons), returned, after <= today)
    return cells


def lifecycle(
    history: History, cohort: str, period: str, today: date, channel: str | None = None
) -> dict[tuple[date, str], set[str]]:
    """(period, status) → persons; with a channel, those with a start of the period, of dormant ones of the one before,
    in a session of it."""
    starts_there = starts_in_sessions(history, cohort, period, today, channel)
    result: dict[tuple[date, str], set[str]] = defaultdict(set)
    for person, moments in history.until(today):
        active = {begin_of(day, period) for day, code in moments if code in STARTS[cohort]}
        for begin in active:
            if begin == min(active):
                result[begin, "new"].add(person)
            else:
                result[begin, "returning" if later(begin, period, -1) in active else "resurrecting"].add(person)
            following = later(begin, period, 1)
            if following not in active and following <= today:
                result[following, "dormant"].add(person)
    kept = {
        (begin, status): {
            person
            for person in persons
            if (later(begin, period, -1) if status == "dormant" else begin, person) in starts_there
        }
        for (begin, status), persons in result.items()
    }
    return {cell: persons for cell, persons in kept.items() if persons}
