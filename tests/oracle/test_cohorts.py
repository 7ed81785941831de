"""Cohort reports, life cycles and segments agree with their reference on hundreds of random logs."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from tests.oracle import cohorts, segments
from tests.oracle.cohorts import Cells, History, Report
from tests.oracle.logs import BATCHES

from journeymart import pipeline
from journeymart.analysis import AnalysisError, Scope, adhoc
from journeymart.db import connect
from journeymart.settings import Settings

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

DEFINITIONS = Path(__file__).parent / "definitions"
DEFINED = {
    "CH-DAY": Report("day", "exact", "every", 9),
    "CH-WEEK": Report("week", "unbounded", "every", 5),
    "CH-MONTH": Report("month", "bracket", "first", 3, (1, 3)),
}
Case = tuple[int, History, random.Random]


class Bank:
    """A batch of logs in a published mart."""

    def __init__(
        self, connection: psycopg.Connection, histories: list[History], number: int, settings: Settings
    ) -> None:
        self.connection, self.histories, self.number, self.settings = connection, histories, number, settings

    def cases(self) -> Iterator[Case]:
        """Each log with a source of chance of its own for the arguments."""
        for number, history in enumerate(self.histories):
            yield number, history, random.Random(f"{self.number}-{number}")

    def call(self, function: str, **arguments: Any) -> list[tuple[Any, ...]]:
        named = ", ".join(f'"{name}" => %({name})s' for name in arguments)
        return self.connection.execute(f"select * from mart.{function}({named})", arguments).fetchall()  # noqa: S608

    def cells(self, log: int, **arguments: Any) -> Cells:
        """What the report says of one log."""
        rows = self.call(
            "retention_cells", from_date=cohorts.first_day(log), to_date=cohorts.last_day(log), **arguments
        )
        return {row[:2]: row[2:] for row in rows}

    def watermark(self) -> date:
        return max(at.date() for history in self.histories for at, _, _ in history.moments)


@pytest.fixture(scope="module", params=range(BATCHES))
def bank(
    request: pytest.FixtureRequest, new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    landing = tmp_path_factory.mktemp("logs")
    histories = cohorts.land(cohorts.generate(request.param), landing, request.param)
    warehouse = new_warehouse()
    pipeline.run(warehouse, landing, definitions=DEFINITIONS)
    with connect("jm_dashboard", settings=warehouse, autocommit=True, timezone="UTC") as connection:
        yield Bank(connection, histories, request.param, warehouse)


def any_report(chance: random.Random) -> Report:
    ages = chance.randrange(1, 8)
    mode = chance.choice(["exact", "unbounded", "bracket"])
    brackets = sorted(chance.sample(range(1, ages + 1), chance.randrange(1, ages + 1))) if mode == "bracket" else ()
    return Report(chance.choice(cohorts.PERIODS), mode, chance.choice(["every", "first"]), ages, tuple(brackets))


def asked(report: Report) -> dict[str, Any]:
    return {
        "period": report.period, "mode": report.mode, "entry": report.entry, "ages": report.ages,
        "brackets": list(report.brackets) or None,
    }  # fmt: skip


def test_reports_as_defined(bank: Bank) -> None:
    """What is counted run by run; and the same counted on the spot."""
    today = bank.watermark()
    for number, history, chance in bank.cases():
        cohort = chance.choice(list(DEFINED))
        wanted = cohorts.retention(history, cohort, DEFINED[cohort], today)
        assert bank.cells(number, cohort=cohort) == wanted, (number, cohort)
        assert bank.cells(number, cohort=cohort, as_of=today) == wanted, (number, cohort)


def test_reports_drawn_up_on_the_spot(bank: Bank) -> None:
    for number, history, chance in bank.cases():
        cohort, report = chance.choice(list(DEFINED)), any_report(chance)
        as_of = cohorts.first_day(number) + timedelta(days=chance.randrange(8, 110))
        channel = chance.choice([None, "web", "app"])
        wanted = cohorts.retention(history, cohort, report, min(as_of, bank.watermark()), channel)
        cells = bank.cells(number, cohort=cohort, as_of=as_of, channel=channel, **asked(report))
        assert cells == wanted, (number, cohort, report, channel)


def test_what_is_not_applied_has_the_same_numbers(bank: Bank) -> None:
    scope = Scope(from_date=cohorts.first_day(0), segment="SG-EVER", channel="app")
    file = DEFINITIONS / "cohorts.yml"
    for cohort, instead in (
        ("CH-DAY", {}), ("CH-MONTH", {}), ("CH-MONTH", {"mode": "exact"}),
        ("CH-WEEK", {"period": "month", "mode": "exact"}),
    ):  # fmt: skip
        wanted = bank.call(
            "retention_cells", cohort=cohort, from_date=scope.from_date, segment=scope.segment, channel="app", **instead
        )
        assert adhoc.retention(bank.settings, file, scope, cohort_id=cohort, instead=instead).rows == wanted, cohort
    with pytest.raises(AnalysisError, match="brackets"):
        adhoc.retention(bank.settings, file, Scope(), cohort_id="CH-DAY", instead={"mode": "bracket"})
    with pytest.raises(AnalysisError, match="there is no segment 'SG-NONE'"):
        adhoc.retention(bank.settings, file, Scope(segment="SG-NONE"), cohort_id="CH-DAY")

    file, day = DEFINITIONS / "segments.yml", cohorts.first_day(1) + timedelta(days=20)
    for segment_id in ("SG-GRADE", "SG-QUIET", "SG-ONCE"):
        wanted = bank.call("segment_members", segment=segment_id, as_of=day, also_in="SG-EVER", channel="app")
        found = adhoc.segment(bank.settings, file, scope, as_of=day, segment_id=segment_id)
        assert found.rows == wanted, segment_id


def test_people_are_those_of_the_cell(bank: Bank) -> None:
    today = bank.watermark()
    for number, history, chance in bank.cases():
        cohort, report = chance.choice(list(DEFINED)), any_report(chance)
        channel = chance.choice([None, None, "web", "app"])
        starts = cohorts.members(history, cohort, report, today, channel)
        if not any(starts.values()):
            continue
        begin = chance.choice(sorted(begin for begin, persons in starts.items() if persons))
        shown = [age for start, age in cohorts.retention(history, cohort, report, today, channel) if start == begin]
        age, has_returned = chance.choice([None, *shown]), chance.random() < 0.7
        wanted = sorted(
            person
            for person, periods in starts[begin].items()
            if age is None or cohorts.is_in(periods, begin, age, report) == has_returned
        )
        rows = bank.call(
            "retention_people", cohort=cohort, cohort_start=begin, age=age, has_returned=has_returned, channel=channel,
            **asked(report),
        )  # fmt: skip
        assert [row[0] for row in rows] == wanted, (number, cohort, report, begin, age, has_returned, channel)
        assert all((row[1] is None) == row[0].endswith("p3") for row in rows)


def test_life_cycles(bank: Bank) -> None:
    for number, history, chance in bank.cases():
        cohort, period = chance.choice(list(DEFINED)), chance.choice(cohorts.PERIODS)
        begin, end = cohorts.first_day(number), cohorts.last_day(number)
        rows = bank.call("lifecycle_cells", cohort=cohort, period=period, from_date=begin, to_date=end)
        wanted = cohorts.lifecycle(history, cohort, period, min(end, bank.watermark()))
        assert {row[:2]: row[2] for row in rows} == wanted, (number, cohort, period)

        period = DEFINED[cohort].period
        kept = bank.connection.execute(
            "select period_start, status, persons from mart.lifecycle"
            " where cohort_id = %s and period_start between %s and %s",
            (cohort, begin, end),
        ).fetchall()
        wanted = cohorts.lifecycle(history, cohort, period, min(end, bank.watermark()))
        assert {row[:2]: row[2] for row in kept} == wanted, (number, cohort)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cohort": "CH-1' or true --"}, "there is no cohort 'CH-1' or true --'"),
        ({"period": "year"}, "period must be day, week or month, not year"),
        ({"mode": "strict"}, "mode must be exact, unbounded or bracket, not strict"),
        ({"entry": "best"}, "entry must be every or first, not best"),
        ({"ages": 0}, "ages must be between 1 and 400, not 0"),
        ({"mode": "bracket", "ages": 5}, "brackets must be rising first ages between 1 and 5"),
        ({"mode": "bracket", "ages": 5, "brackets": [3, 3]}, "brackets must be rising first ages between 1 and 5"),
    ],
)
def test_wrong_arguments_are_refused(bank: Bank, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(psycopg.DataError) as refused:
        bank.call("retention_cells", **{"cohort": "CH-DAY", **arguments})
    assert refused.value.diag.message_primary == message


def test_segments(bank: Bank) -> None:
    """Everyone belongs from and until exactly when they do, on what is known and on what will be."""
    definitions = yaml.safe_load((DEFINITIONS / "segments.yml").read_text(encoding="utf-8"))["segments"]
    found: dict[tuple[str, str], list[segments.Stay]] = defaultdict(list)
    # Who will only belong has no name in the mart yet.
    with connect("jm_admin", settings=bank.settings, timezone="UTC") as connection:
        stays = connection.execute(
            "select v.segment_id, c.customer_id, v.valid_from, v.valid_to from mart.segment_validity as v"
            " inner join raw.customer as c using (customer_key) order by 3"
        ).fetchall()
    for segment_id, customer_id, valid_from, valid_to in stays:
        found[segment_id, customer_id].append((valid_from, valid_to))
    for number, history, _ in bank.cases():
        persons = {who for _, who, _ in history.moments} | {who for who, _ in history.grades}
        for person in persons - {f"{number}-p3"}:
            customer = segments.Customer(history, person)
            for segment in definitions:
                wanted = customer.stays(segment)
                assert found.pop((segment["id"], person), []) == wanted, (person, segment["id"])
    assert found == {}


def test_segments_now_then_and_together(bank: Bank) -> None:
    """Members at the end of a date, sizes, and the filter that other analyses take."""
    sizes: dict[str, int] = dict(bank.connection.execute("select segment_id, members from mart.segment").fetchall())
    assert len(sizes) == 13
    for segment_id, size in sizes.items():
        assert len(bank.call("segment_members", segment=segment_id)) == size, segment_id
    _, history = next((n, h) for n, h in enumerate(bank.histories) if h.grades)
    (person, day), grade = min(history.grades.items(), key=lambda item: item[0][1])
    members = {row[0] for row in bank.call("segment_members", segment="SG-GRADE", as_of=day)}
    assert (person in members) == (grade == "V")
    assert person not in {
        row[0] for row in bank.call("segment_members", segment="SG-GRADE", as_of=day - timedelta(days=1))
    }
    for one, other, members_one, _, both, share in bank.call("segment_overlap"):
        shared = bank.call("segment_members", segment=one, also_in=other)
        assert (members_one, both) == (sizes[one], len(shared)), (one, other)
        assert share == both / min(sizes[one], sizes[other])
    everyone = {row[:2]: row[2] for row in bank.call("retention_cells", cohort="CH-DAY")}
    with_session = {row[0] for row in bank.call("segment_members", segment="SG-EVER", channel="app")}
    assert with_session == {row[0] for row in bank.call("segment_members", segment="SG-EVER")} & {
        person
        for history in bank.histories
        for (_, person, _), channel in zip(history.moments, history.channels, strict=True)
        if channel == "app"
    }
    within = {row[:2]: row[2] for row in bank.call("retention_cells", cohort="CH-DAY", segment="SG-EVER")}
    assert 0 < sum(within.values()) < sum(everyone.values())
    with pytest.raises(psycopg.DataError, match="there is no segment 'SG-NONE'"):
        bank.call("retention_cells", cohort="CH-DAY", segment="SG-NONE")
