"""PostHog's recorded answers on retention, life cycles, paths and groups of persons, where we can ask the question.

The cases lie beside the project, in ../shared/data/oracles; docs/semantics.md says why the others cannot be asked.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from tests.oracle import posthog
from tests.oracle.cohorts import begin_of, later
from tests.oracle.recorded import check_table

from journeymart import pipeline
from journeymart.db import connect
from journeymart.settings import Settings

NOT_EXPRESSIBLE = {
    "test_hour_interval": "asks for hours; periods are days, weeks and months",
    "test_filter_test_accounts": "leaves test accounts out, and the recording does not say which",
    "test_retention_invalid_properties": "is about an HTTP request that is not JSON",
    "test_retention_people_paginated": "is about the page size of an HTTP interface",
    "test_lifecycle_trend_people_paginated": "is about the page size of an HTTP interface",
}
TORN = ("TestFOSSRetention.test_timezones", 1)
NOT_EXPRESSIBLE_QUERY = "contradicts itself in US/Pacific: on the seventh day somebody returns, and nobody is counted"
SUNDAY = timedelta(days=1)  # weeks of retention begin on Sunday there, on Monday here: everything a day later


class Case:
    """One recorded query with the events it is about; `number` keeps its pages and persons apart from others'."""

    def __init__(self, number: int, case: dict[str, Any], query: dict[str, Any]) -> None:
        self.number, self.query = number, query
        self.name = case["case"].split(".")[1]
        self.zone = ZoneInfo(case.get("team_flags", {}).get("team.timezone", "UTC") if query["query_no"] else "UTC")
        self.parameters: dict[str, Any] = query["parameters"][0]
        self.period = self.parameters.get("period", self.parameters.get("interval", "day")).lower()
        self.shift = SUNDAY if self.period == "week" and query["engine"] == "Retention" else timedelta()
        self.events: list[dict[str, Any]] = case["events"]

    def local(self, moment: str) -> datetime:
        """The clock time in the zone of the case, as if it were the installation's."""
        return datetime.fromisoformat(moment).astimezone(self.zone).replace(tzinfo=UTC) + self.shift

    def day(self, moment: str) -> date:
        """The date of a limit, which is taken as it is written, whatever the zone."""
        return datetime.fromisoformat(moment).date() + self.shift

    def page(self, entity: str) -> str:
        """The page of an event, or of the one event that an action is made of."""
        value = json.loads(self.parameters[entity]) if isinstance(self.parameters.get(entity), str) else (
            self.parameters.get(entity)
        )  # fmt: skip
        event = value["id"] if value else "$pageview"
        for action in self.query.get("actions", ()):
            event = action["steps"][0]["event"] if action["id"] == event else event
        return f"{self.number}:{event}"

    def definition(self) -> dict[str, Any]:
        returns = "returning_entity" if "returning_entity" in self.parameters else "target_entity"
        start, back = (
            {"source": "screen", "where": {"page_code": self.page(entity)}} for entity in ("target_entity", returns)
        )
        first = self.parameters.get("retention_type") == "retention_first_time"
        return {
            "id": f"CH-{self.number}", "label": {"ko": self.name, "en": self.name}, "owner": "tests",
            "entry": "first" if first else "every", "period": self.period, "ages": 20, "start": start, "return": back,
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        for place, event in enumerate(self.events):
            yield json.dumps({
                "event_id": f"{self.number}-{place}", "event_time": self.local(event["timestamp"]).isoformat(),
                "visitor_id": f"{self.number}:{event.get('distinct_id', event['person'])}",
                "customer_id": f"{self.number}:{event['person']}", "page_code": f"{self.number}:{event['event']}",
                "user_agent": "Mozilla",
            })  # fmt: skip

    def expected(self, at: str) -> Any:
        return next(item["value"] for item in self.query["expected"] if item["at"] == at)


def cases(shared_data: Path) -> tuple[list[Case], dict[str, str]]:
    """The queries that can be asked, and the other cases with the reason."""
    found, away = [], {}
    for file in ("posthog_retention/cases.json", "posthog_other/lifecycle.json"):
        for case in json.loads((shared_data / "oracles" / file).read_text(encoding="utf-8")):
            name = case["case"].split(".")[1]
            if name in NOT_EXPRESSIBLE:
                away[case["case"]] = NOT_EXPRESSIBLE[name]
            else:
                found += [(case, query) for query in case["queries"] if (case["case"], query["query_no"]) != TORN]
    away[f"{TORN[0]} (second query)"] = NOT_EXPRESSIBLE_QUERY
    return [Case(number, *item) for number, item in enumerate(found)], away


@pytest.fixture(scope="module")
def others(shared_data: Path) -> dict[str, tuple[list[posthog.Question], Counter[str]]]:
    """What else can be asked, by the table that shows what cannot."""
    paths, groups = Counter[str](), Counter(posthog.unasked(shared_data))
    return {
        "posthog_paths": (
            posthog.questions(shared_data, "posthog_paths/cases.json", posthog.path_question, paths), paths
        ),
        "posthog_other": (
            posthog.questions(shared_data, "posthog_other/behavioural_cohorts.json", posthog.group_question, groups)
            + posthog.questions(shared_data, "posthog_other/trends.json", posthog.trend_question, groups), groups
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def asked(
    new_warehouse: Callable[[], Settings],
    shared_data: Path,
    others: dict[str, tuple[list[posthog.Question], Counter[str]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[psycopg.Connection, list[Case]]]:
    """Every case in one mart, its events on pages and by persons of its own."""
    more = [question for found, _ in others.values() for question in found]
    expressible, _ = cases(shared_data)
    directory = tmp_path_factory.mktemp("posthog")
    groups = [
        {"match": f"^.*{'.*'.join(map(re.escape, group.split('*')))}.*$", "replace": group}
        for group in posthog.PATH_GROUPS
    ]
    for name, content in (
        (
            "cohorts.yml",
            json.dumps(
                {
                    "cohorts": [
                        *(case.definition() for case in expressible),
                        *(each for question in more for each in question.cohorts),
                    ]
                }
            ),
        ),
        ("sessions.yml", "sessions: {timeout: 30m, time_zone: UTC}"),
        ("funnels.yml", json.dumps({"funnels": [funnel for question in more for funnel in question.funnels]})),
        ("kpis.yml", json.dumps({"kpis": [kpi for question in more for kpi in question.kpis]})),
        ("pages.yml", json.dumps({"path_rules": groups})),
        ("segments.yml", json.dumps({"segments": [each for question in more for each in question.segments]})),
    ):
        (directory / name).write_text(content, encoding="utf-8")
    (directory / "landing" / "clickstream").mkdir(parents=True)
    (directory / "landing" / "clickstream" / "all.ndjson").write_text(
        "".join(f"{line}\n" for case in expressible for line in case.lines()), encoding="utf-8"
    )
    (directory / "landing" / "customers").mkdir()
    (directory / "landing" / "customers" / "all.ndjson").write_text(
        "".join(json.dumps(line) + "\n" for question in more for line in question.customers), encoding="utf-8"
    )
    (directory / "landing" / "clickstream" / "others.ndjson").write_text("".join(
        json.dumps({"event_id": f"{question.name}-{number}", "user_agent": "Mozilla", **line}) + "\n"
        for question in more for number, line in enumerate(question.lines)
    ), encoding="utf-8")  # fmt: skip
    warehouse = new_warehouse()
    pipeline.run(warehouse, directory / "landing", definitions=directory)
    with connect("jm_dashboard", settings=warehouse, autocommit=True) as connection:
        yield connection, expressible


def test_recorded_answers(asked: tuple[psycopg.Connection, list[Case]]) -> None:
    connection, expressible = asked
    ask = {"Retention": retention, "Trends": lifecycle}
    wrong = []
    for case in expressible:
        answer = ask[case.query["engine"]] if case.query["method"] == "run" else people
        wrong += [(case.name, *pair) for pair in answer(connection, case) if pair[0] != pair[1]]
    assert wrong == []


Answers = Iterator[tuple[Any, Any]]


def end_of(case: Case, day: date) -> date:
    """The last day of a period: there, the period of `date_to` counts as a whole."""
    return later(begin_of(day, case.period), case.period, 1) - timedelta(days=1)


def periods_until(case: Case, last: date, count: int) -> list[date]:
    end = begin_of(last, case.period)
    return [later(end, case.period, back - count + 1) for back in range(count)]


def retention(connection: psycopg.Connection, case: Case) -> Answers:
    """The triangle: of each period the persons who start, then those who return in each later one."""
    last = case.day(case.parameters.get("date_to", case.query["now"]))
    triangle = case.expected('[*]["values"][*]["count"]')
    rows = connection.execute(
        "select cohort_start, age, case when age = 0 then size else returned end"
        " from mart.retention_cells(%s, as_of => %s)",
        (f"CH-{case.number}", end_of(case, last)),
    ).fetchall()
    cells = {(start, age): persons for start, age, persons in rows}
    starts = periods_until(case, last, len(triangle))
    shown = [[cells.get((start, age), 0) for age in range(len(starts) - row)] for row, start in enumerate(starts)]
    yield shown, triangle


def lifecycle(connection: psycopg.Connection, case: Case) -> Answers:
    """Persons by status and period; who is dormant is counted below zero there."""
    wanted = case.expected({"status": '|sorted[*]["status"]', "data": '|sorted[*]["data"]'})  # type: ignore[arg-type]
    count = len(wanted[0]["data"])
    last = case.day(min(case.parameters.get("date_to", case.query["now"]), case.query["now"]))
    as_of = last if case.parameters["date_from"] == "all" else end_of(case, last)  # or up to now
    rows = connection.execute(
        "select period_start, status, persons from mart.lifecycle_cells(%s, as_of => %s)", (f"CH-{case.number}", as_of)
    ).fetchall()
    found = {(start, status): -persons if status == "dormant" else persons for start, status, persons in rows}
    starts = periods_until(case, last, count)
    yield (
        {row["status"]: [found.get((start, row["status"]), 0) for start in starts] for row in wanted},
        {row["status"]: row["data"] for row in wanted},
    )


def people(connection: psycopg.Connection, case: Case) -> Answers:
    """`actors`: who returns at that age after the first period. `actors_in_period`: who starts in that period, with
    the ages at which each returns."""
    last = case.day(case.parameters["date_to"])
    starts = periods_until(case, last, 11)
    place = case.parameters["selected_interval"]
    is_cell = case.query["method"] == "actors"
    start = starts[0] if is_cell else starts[place]

    def persons(age: int | None) -> list[str]:
        rows = connection.execute(
            "select person_id from mart.retention_people(%s, %s, %s, as_of => %s)",
            (f"CH-{case.number}", start, age, last),
        ).fetchall()
        return [row[0].split(":")[1] for row in rows]

    members = persons(place if is_cell else None)
    for item in case.query["expected"]:
        if item["at"] == "|len":
            yield len(members), item["value"]
        elif item["at"].endswith('["appearances"]'):
            other = next(e["value"] for e in case.query["expected"] if e["at"] == item["at"][:3] + '["person"]["id"]')
            person = other[0].removeprefix("person:")
            shown = [1, *(int(person in persons(age)) for age in range(1, len(item["value"])))]
            yield shown, item["value"]


def test_recorded_answers_on_paths_and_groups(
    asked: tuple[psycopg.Connection, list[Case]], others: dict[str, tuple[list[posthog.Question], Counter[str]]]
) -> None:
    connection, _ = asked

    def ask(function: str, **arguments: Any) -> list[tuple[Any, ...]]:
        named = ", ".join(f'"{name}" => %({name})s' for name in arguments)
        return connection.execute(f"select * from mart.{function}({named})", arguments).fetchall()  # noqa: S608

    wrong = [question.name for found, _ in others.values() for question in found if not question.holds(ask)]
    assert wrong == []
    for name, (found, reasons) in others.items():
        check_table(name, len(found), reasons)


def test_the_table_of_what_cannot_be_asked(shared_data: Path) -> None:
    expressible, away = cases(shared_data)
    check_table("posthog_cohorts", len(expressible), Counter(away.values()))
