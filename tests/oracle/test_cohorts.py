"""Cohort reports, life cycles and segments agree with their reference on hundreds of random logs."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from tests.oracle import cohorts, segments
from tests.oracle.cohorts import Cells, History, Report
from tests.oracle.logs import BATCHES
from typer.testing import CliRunner

from journeymart import pipeline
from journeymart.analysis import AnalysisError, Scope, adhoc
from journeymart.cli import build_app
from journeymart.db import connect
from journeymart.definitions import cells
from journeymart.definitions.cohorts import Cohort, CohortsFile
from journeymart.definitions.loader import load_yaml, read_document
from journeymart.definitions.segments import SegmentsFile
from journeymart.errors import WrongUsageError
from journeymart.landing import decode
from journeymart.settings import Settings

DEFINITIONS = Path(__file__).parent / "definitions"
DEFINED = {
    "CH-DAY": Report("day", "exact", "every", 9),
    "CH-WEEK": Report("week", "unbounded", "every", 5),
    "CH-MONTH": Report("month", "bracket", "first", 3, (1, 3)),
}
CELLS = 60  # of reports, saved as segments
Case = tuple[int, History, random.Random]


@dataclass(frozen=True)
class Cell:
    """A cell of a report on one log: what a segment of it asks for, and who is in it."""

    log: int
    clauses: list[dict[str, Any]]
    persons: set[str]


class Bank:
    """A batch of logs in a published mart."""

    def __init__(
        self, connection: psycopg.Connection, histories: list[History], number: int, settings: Settings,
        saved: dict[str, Cell],
    ) -> None:  # fmt: skip
        self.connection, self.histories, self.number, self.settings = connection, histories, number, settings
        self.saved = saved

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
        return watermark_of(self.histories)


@pytest.fixture(scope="module", params=range(BATCHES))
def bank(
    request: pytest.FixtureRequest, new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bank]:
    landing = tmp_path_factory.mktemp("logs")
    histories = cohorts.land(cohorts.generate(request.param), landing, request.param)
    cells_of_log = random_cells(histories, random.Random(request.param))
    saved = {f"SG-CELL-{number}": cell for number, cell in enumerate(itertools.islice(cells_of_log, CELLS))}
    directory = tmp_path_factory.mktemp("definitions")
    shutil.copy(DEFINITIONS / "cohorts.yml", directory)
    content = yaml.safe_load((DEFINITIONS / "segments.yml").read_text(encoding="utf-8"))["segments"]
    head = {"label": {"ko": "시험", "en": "Test"}, "owner": "tests"}
    content += [{"id": name, **head, "all_of": cell.clauses} for name, cell in saved.items()]
    (directory / "segments.yml").write_text(json.dumps({"segments": content}), encoding="utf-8")
    warehouse = new_warehouse()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "AHEAD", "200 years")  # every log has half a year to itself
        pipeline.run(warehouse, landing, definitions=directory)
    with connect("jm_dashboard", settings=warehouse, autocommit=True, timezone="UTC") as connection:
        yield Bank(connection, histories, request.param, warehouse, saved)


def watermark_of(histories: list[History]) -> date:
    """The latest date on which something happens."""
    return max(at.date() for history in histories for at, _, _ in history.moments)


def random_cells(histories: list[History], chance: random.Random) -> Iterator[Cell]:
    """Cells of reports on cohorts and of life cycles, without end."""
    today = watermark_of(histories)
    defined = {cohort.id: cohort for cohort in load_yaml("cohorts", DEFINITIONS).parse(CohortsFile).cohorts}
    while True:
        log, name, report = chance.randrange(len(histories)), chance.choice(list(DEFINED)), any_report(chance)
        content = defined[name].model_dump(by_alias=True, mode="json", exclude_none=True)
        cohort = Cohort.model_validate({**content, **asked(report), "brackets": report.brackets})
        channel = chance.choice([None, None, "web", "app"])
        session = {} if channel is None else {"channel": channel}
        if chance.random() < 0.3:
            statuses = cohorts.lifecycle(histories[log], name, report.period, today, channel)
            for begin, status in chance.sample(sorted(statuses), min(1, len(statuses))):
                yield Cell(log, cells.lifecycle(cohort, begin, status, session=session), statuses[begin, status])
            continue
        starts = {
            begin: persons
            for begin, persons in cohorts.members(histories[log], name, report, today, channel).items()
            if persons
        }
        for begin in chance.sample(sorted(starts), min(1, len(starts))):
            shown = [age for start, age in cohorts.retention(histories[log], name, report, today) if start == begin]
            age, returned = chance.choice([None, 0, *shown]), chance.random() < 0.6
            yield Cell(
                log,
                cells.retention(cohort, begin, age=age, returned=returned, session=session),
                {
                    person
                    for person, periods in starts[begin].items()
                    if age is None or cohorts.is_in(periods, begin, age, report) == returned
                },
            )


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
        adhoc.retention(bank.settings, file, Scope(segment="SG-NONE"), cohort_id="CH-DAY", instead={})

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
        channel = chance.choice([None, "web", "app"])
        rows = bank.call("lifecycle_cells", cohort=cohort, period=period, from_date=begin, to_date=end, channel=channel)
        wanted = cohorts.lifecycle(history, cohort, period, min(end, bank.watermark()), channel)
        assert {row[:2]: row[2] for row in rows} == {cell: len(persons) for cell, persons in wanted.items()}

        period = DEFINED[cohort].period
        kept = bank.connection.execute(
            "select period_start, status, persons from mart.lifecycle"
            " where cohort_id = %s and period_start between %s and %s",
            (cohort, begin, end),
        ).fetchall()
        wanted = cohorts.lifecycle(history, cohort, period, min(end, bank.watermark()))
        assert {row[:2]: row[2] for row in kept} == {cell: len(persons) for cell, persons in wanted.items()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cohort": "CH-1' or true --"}, "there is no cohort 'CH-1' or true --'"),
        ({"period": "year"}, "period must be day, week or month, not year"),
        ({"mode": "strict"}, "mode must be exact, unbounded or bracket, not strict"),
        ({"entry": "best"}, "entry must be every or first, not best"),
        ({"ages": 0}, "ages must be between 1 and 400, not 0"),
        ({"mode": "bracket", "ages": 5}, "CH-DAY has no brackets, which mode bracket needs"),
        ({"mode": "bracket", "ages": 5, "brackets": [3, 3]}, "brackets must rise, from 1 to 5 (ages), not 3,3"),
        ({"mode": "bracket", "ages": 5, "brackets": [6]}, "brackets must rise, from 1 to 5 (ages), not 6"),
        ({"mode": "exact", "brackets": [1, 3]}, "brackets belong to mode bracket, not to exact"),
    ],
)
def test_wrong_arguments_are_refused(bank: Bank, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(psycopg.DataError) as refused:
        bank.call("retention_cells", **{"cohort": "CH-DAY", **arguments})
    assert refused.value.diag.message_primary == message


def test_segments(bank: Bank) -> None:
    """Everyone belongs from and until exactly when they do, on what is known and on what will be; to cells too."""
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
            of_log = [{"id": name, "all_of": cell.clauses} for name, cell in bank.saved.items() if cell.log == number]
            for segment in [*definitions, *of_log]:
                wanted = customer.stays(segment)
                assert found.pop((segment["id"], person), []) == wanted, (person, segment)
    assert found == {}


def test_cells_saved_as_segments_have_their_customers(bank: Bank) -> None:
    """Of cohorts and of life cycles, whatever is asked instead of what is defined."""
    for segment_id, cell in bank.saved.items():
        members = {row[0] for row in bank.call("segment_members", segment=segment_id)}
        assert members == {person for person in cell.persons if not person.endswith("p3")}, (segment_id, cell)
    assert sum(len(cell.persons) for cell in bank.saved.values()) > CELLS / 2, "the cells are empty"


def asked_of_cli(*options: str) -> Any:
    shown = CliRunner().invoke(build_app(), ["analyze", *options, "--json"], catch_exceptions=False)
    return json.loads(shown.stdout)


def test_cells_are_saved_from_the_command_line(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "load", lambda: bank.settings)
    file = tmp_path / "segments.yml"
    of_file = ["--definitions", str(DEFINITIONS), "--save", str(file)]
    start, age, *_ = next(row for row in bank.call("retention_cells", cohort="CH-WEEK", channel="web") if row[3])
    cell = ["retention", "--id", "CH-WEEK", "--people", str(start), "--channel", "web", *of_file]
    for name, options in (("SIZE", []), ("RETURNED", ["--age", str(age)]), ("AWAY", ["--age", str(age), "--away"])):
        [saved] = asked_of_cli(*cell, *options, "--save-as", f"SG-{name}")
        people = bank.call(
            "retention_people", cohort="CH-WEEK", cohort_start=start, channel="web",
            age=None if name == "SIZE" else age, has_returned=name != "AWAY",
        )  # fmt: skip
        assert saved == {"segment_id": f"SG-{name}", "members": sum(row[1] is not None for row in people)}
    history = next(
        history for history in bank.histories if cohorts.lifecycle(history, "CH-DAY", "week", bank.watermark())
    )
    (begin, status), persons = min(cohorts.lifecycle(history, "CH-DAY", "week", bank.watermark()).items())
    cell = ["lifecycle", "--id", "CH-DAY", "--period", "week", "--start", str(begin), "--status", status, *of_file]
    [saved] = asked_of_cli(*cell, "--save-as", "SG-STATUS")
    assert saved["members"] == sum(not person.endswith("p3") for person in persons)
    found = read_document("segments", file).parse(SegmentsFile).segments
    assert [segment.id for segment in found][-4:] == ["SG-SIZE", "SG-RETURNED", "SG-AWAY", "SG-STATUS"]


def test_nobody_stays_away_from_a_period_to_come(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "load", lambda: bank.settings)
    cells = [row[:2] for row in bank.call("retention_cells", cohort="CH-WEEK", ages=400)]
    start = max(start for start, _ in cells)
    later = max(age for begin, age in cells if begin == start) + 1
    of_cell = {"cohort": "CH-WEEK", "cohort_start": start}
    of_file = ["--definitions", str(DEFINITIONS), "--save", str(tmp_path / "segments.yml")]
    assert bank.call("retention_people", **of_cell) != []
    assert bank.call("retention_people", **of_cell, ages=400, age=later - 1, has_returned=False) != []
    assert bank.call("retention_people", **of_cell, ages=400, age=later, has_returned=False) == []
    cell = ["retention", "--id", "CH-WEEK", "--people", str(start), "--ages", "400", "--age", str(later), "--away"]
    with pytest.raises(AnalysisError, match=f"the report has no age {later} of who starts on {start}, or not yet"):
        asked_of_cli(*cell, *of_file, "--save-as", "SG-NEW")
    with pytest.raises(psycopg.DataError, match="the report has no age 6"):
        bank.call("retention_people", **of_cell, age=6, has_returned=False)
    with pytest.raises(psycopg.DataError, match="no week begins on "):
        bank.call("retention_people", cohort="CH-WEEK", cohort_start=start + timedelta(days=1))
    week = start + timedelta(weeks=later)
    cell = ["lifecycle", "--id", "CH-WEEK", "--start", str(week), "--status", "dormant"]
    with pytest.raises(AnalysisError, match=f"the report has no cell 'dormant' of {week}"):
        asked_of_cli(*cell, *of_file, "--save-as", "SG-NEW")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--people", "1971-01-06"], "no week begins on 1971-01-06"),
        (["--people", "1971-01-04", "--age", "6"], "the report has no age 6"),
        (["--people", "1971-01-04", "--segment", "SG-EVERY"], "there is no segment SG-EVERY; did you mean 'SG-EVER'"),
        (["--people", "1971-01-04", "--as-of", "1971-02-01"], "--save is of one cell as it is now"),
        (["--age", "1"], "--save is of one cell as it is now"),
        (["--people", "1971-01-04", "--definitions", "CHANGED"], "what is published of CH-WEEK does not follow"),
    ],
)
def test_what_cannot_be_saved(
    bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.setattr(Settings, "load", lambda: bank.settings)
    changed = (DEFINITIONS / "cohorts.yml").read_text(encoding="utf-8").replace("ages: 5", "ages: 6")
    (tmp_path / "cohorts.yml").write_text(changed, encoding="utf-8")
    options = [str(tmp_path) if option == "CHANGED" else option for option in options]
    where = [] if "--definitions" in options else ["--definitions", str(DEFINITIONS)]
    file = tmp_path / "segments.yml"
    with pytest.raises(WrongUsageError, match=message):
        asked_of_cli("retention", "--id", "CH-WEEK", *options, *where, "--save", str(file), "--save-as", "SG-NEW")
    assert not file.exists()


def test_segments_now_then_and_together(bank: Bank) -> None:
    """Members at the end of a date, sizes, and the filter that other analyses take."""
    sizes: dict[str, int] = dict(bank.connection.execute("select segment_id, members from mart.segment").fetchall())
    assert len(sizes) == 13 + CELLS
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
        assert share == (both / min(sizes[one], sizes[other]) if sizes[one] and sizes[other] else None)
    of_app: dict[str, set[str]] = {
        segment_id: {
            row[0] for row in bank.call("segment_members", segment=segment_id, channel="app", also_in="SG-EVER")
        }
        for segment_id in ("SG-GRADE", "SG-QUIET", "SG-ONCE")
    }
    named = [*of_app, "SG-GRADE"]  # once more: nobody counts twice for that
    overlaps = bank.call("segment_overlap", segments=named, channel="app", also_in="SG-EVER")
    assert (
        {row[:5] for row in overlaps}
        == {
            (one, other, len(of_app[one]), len(of_app[other]), len(of_app[one] & of_app[other]))
            for one, other in itertools.combinations(sorted(of_app), 2)
        }
        != set()
    )
    assert bank.call("segment_overlap", segments=["SG-GRADE", "SG-EVER"], channel="no such") == [
        ("SG-EVER", "SG-GRADE", 0, 0, 0, None)
    ]
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
