"""Funnels, paths and segments that mean the same have the same people."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from datetime import date
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from tests.oracle.bank import Bank
from tests.oracle.logs import SEOUL
from typer.testing import CliRunner

from journeymart.analysis import Scope, adhoc
from journeymart.cli import build_app
from journeymart.definitions.loader import load_yaml
from journeymart.definitions.segments import SegmentsFile


def test_who_enters_a_funnel_is_in_the_segment_of_its_first_step(bank: Bank) -> None:
    members = {row[0] for row in bank.call("segment_members", None, segment="SG-B")}
    entered = {
        row[0]
        for row in bank.connection.execute(
            "select subject_id from mart.funnel_entry where funnel_id = 'FN-PERSON' and subject_key > 0"
        )
    }
    assert members == entered != set()
    both = {row[0] for row in bank.call("segment_members", None, segment="SG-B", also_in="SG-C")}
    went_on = {row[0] for row in bank.call("funnel_people", None, funnel_id="FN-PERSON", step=2)}
    assert members & went_on <= both

    # a cell of the report saved as a segment, and what is left beside it
    customers = {row[0] for row in bank.connection.execute("select distinct customer_id from mart.event")} - {None}
    cells = {name: {row[0] for row in bank.call("segment_members", None, segment=f"SG-{name}")}
             for name in ("REACHED", "STAYED")}  # fmt: skip
    assert cells["REACHED"] == went_on & customers != set()
    assert cells["STAYED"] == entered - went_on != set()


def test_steps_of_sessions_are_those_of_their_paths(bank: Bank) -> None:
    funnel = bank.call("funnel", None, funnel_id="FN-SESSION")
    steps = bank.call("paths_steps", None, nodes=["B", "C", "D"])
    assert [row[3] for row in funnel] == [row[3] for row in steps]
    people = {row[0] for row in bank.call("funnel_people", None, funnel_id="FN-SESSION", step=1)}
    visited = {str(row[0]) for row in bank.call("paths_people", None, step=0, node="B")}
    assert people == visited


def test_ways_saved_as_segments_have_the_customers_of_their_sessions(bank: Bank) -> None:
    after_b = [(s, s.nodes[s.nodes.index("B") + 1 :]) for log in bank.sessions for s in log if "B" in s.nodes]
    pairs = [(s, list(pairwise(s.nodes))) for s, _ in after_b]
    visits = Counter(s.customer for s, _ in after_b)
    wanted = {
        "SG-THROUGH": {s.customer for s, rest in after_b if "C" in rest},
        "SG-DIRECTLY": {s.customer for s, moves in pairs if ("B", "C") in moves},
        "SG-LEFT": {s.customer for s, rest in after_b if "C" not in rest},
        "SG-ENDS": {s.customer for s, _ in after_b if s.nodes[-1] == "B"},
        "SG-SECOND": {s.customer for s, moves in pairs if moves[1:2] == [("B", "C")]},
        "SG-TWICE": {customer for customer, sessions in visits.items() if sessions > 1},
    }
    for segment, customers in wanted.items():
        members = {row[0] for row in bank.call("segment_members", None, segment=segment)}
        assert members == customers - {None}, segment
    assert sum(map(len, wanted.values())) > 10, "the ways are gone"  # a batch may lack the rarest


ARGUMENTS = {"from": "from_date", "to": "to_date"}


def test_a_cell_of_a_funnel_saved_as_a_segment_has_its_customers(bank: Bank) -> None:
    """Whatever the funnel counts, by outcome, dates, value of the breakdown, channel, domain and device."""
    found = 0
    for segment_id, cell in ((name, clause["funnel"]) for name, clause in bank.cells.items() if "funnel" in clause):
        asked = {ARGUMENTS.get(name, name): value for name, value in cell.items()}
        asked["funnel_id"], asked["of_breakdown"] = asked.pop("id"), asked.pop("breakdown", None)
        customers = {row[6] for row in bank.call("funnel_people", None, **asked)} - {None}
        members = {row[0] for row in bank.call("segment_members", None, segment=segment_id)}
        assert members == customers, (segment_id, cell, bank.content[cell["id"]])
        found += len(members)
    assert found > 50, "the cells are empty"


def test_ways_saved_with_filters_have_the_customers_of_their_sessions(bank: Bank) -> None:
    found = 0
    for segment_id, way in ((name, clause["path"]) for name, clause in bank.cells.items() if "path" in clause):
        first, then = way["through"]
        customers = {
            s.customer
            for log in bank.sessions
            for s in log
            if first in s.nodes
            and then in s.nodes[s.nodes.index(first) + 1 :]
            and way.get("from", "") <= s.date.isoformat() <= way.get("to", "9999")
            and all(
                getattr(s, name) == way.get(name, getattr(s, name)) for name in ("channel", "domain", "device_type")
            )
        } - {None}
        members = {row[0] for row in bank.call("segment_members", None, segment=segment_id)}
        assert members == customers, (segment_id, way)
        found += len(members)
    assert found > 10, "the ways are gone"


def test_a_comparison_has_the_moves_of_each_of_its_segments(bank: Bank) -> None:
    rows = bank.call("paths_compare", None, segment_a="SG-B", segment_b="SG-TWICE", depth=3, device_type="mobile")
    for segment, sessions in (("SG-B", 3), ("SG-TWICE", 4)):
        alone = bank.call("paths_main", None, segment=segment, depth=3, device_type="mobile")
        assert {row[:3]: row[sessions] for row in rows if row[sessions]} == {row[:3]: row[3] for row in alone} != {}
        total = sum(row[3] for row in alone if row[0] == 1)
        assert all(row[sessions + 2] == row[sessions] / total for row in rows)


def test_a_way_is_saved_as_a_segment(bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journeymart.settings.Settings.load", lambda: bank.settings)
    for path in bank.definitions.glob("[!s]*.yml"):
        shutil.copy(path, tmp_path)
    file = tmp_path / "segments.yml"
    shipped = [segment.id for segment in load_yaml("segments").parse(SegmentsFile).segments]
    ask = ["analyze", "paths", "segment", "--id", "SG-NEW", "--through", "B,C", "--save", str(file), "--json"]
    shown = CliRunner().invoke(build_app(), ask)
    members = len(bank.call("segment_members", None, segment="SG-THROUGH"))
    assert json.loads(shown.stdout) == [{"segment_id": "SG-NEW", "members": members}]
    [*others, saved] = load_yaml("segments", tmp_path).parse(SegmentsFile).segments
    assert [segment.id for segment in others] == shipped, "a file of one's own is instead of the shipped one"
    assert len(adhoc.segment(bank.settings, saved, Scope()).rows) == members
    [cell] = json.loads(CliRunner().invoke(build_app(), [
        "analyze", "funnel-people", "--id", "FN-SESSION", "--step", "2", "--outcome", "dropped", "--channel", "web",
        "--segment", "SG-B", "--definitions", str(bank.definitions),
        "--save", str(file), "--save-as", "SG-CELL", "--json",
    ]).stdout)  # fmt: skip
    asked = {"funnel_id": "FN-SESSION", "step": 2, "outcome": "dropped", "channel": "web", "segment": "SG-B"}
    people = bank.call("funnel_people", None, **asked)
    assert cell == {"segment_id": "SG-CELL", "members": len({row[6] for row in people} - {None})}
    before = file.read_text(encoding="utf-8")
    assert CliRunner().invoke(build_app(), ask).stdout == shown.stdout, "what is there already is not added again"
    other = CliRunner().invoke(build_app(), [*ask, "--directly"])
    assert "SG-NEW is there already" in str(other.exception)
    lost = CliRunner().invoke(build_app(), [*ask, "--not-then", "nowhere"])
    assert "no page or transaction is called 'nowhere'" in str(lost.exception)
    assert file.read_text(encoding="utf-8") == before


def test_dates_of_entry_add_up_to_all(bank: Bank) -> None:
    totals = {(row[0], row[1]): row[2] for row in bank.connection.execute(
        "select funnel_id, step_no, sum(entered)::bigint from mart.funnel_step group by 1, 2"
    )}  # fmt: skip
    for funnel in bank.funnels:
        for row in bank.call("funnel", None, funnel_id=funnel.id):
            assert totals.get((funnel.id, row[1]), 0) == row[3], (funnel.id, row[1])


def test_key_numbers_are_counts_of_events_by_day(bank: Bank) -> None:
    days: dict[date, list[int]] = defaultdict(lambda: [0, 0])
    for log in bank.events:
        for event in log:
            if (event.rank, event.code) in {(0, "B"), (1, "T")}:
                days[event.at.astimezone(SEOUL).date()][event.rank] += 1
    shown = bank.call("kpi", None, kpi="KP-RATE")
    assert {row[0]: (row[1], row[2] or 0) for row in shown} == {day: tuple(counts) for day, counts in days.items()}
    assert all(row[3] == (row[1] / row[2] if row[2] else None) for row in shown)
    assert [row[:2] for row in bank.call("kpi", None, kpi="KP-B")] == [row[:2] for row in shown if row[1]]
    with pytest.raises(psycopg.DataError, match="there is no key number 'KP-NONE'"):
        bank.call("kpi", None, kpi="KP-NONE")


def test_filters_of_key_numbers_leave_what_happened_there(bank: Bank) -> None:
    members = {row[0] for row in bank.call("segment_members", None, segment="SG-TWICE")}
    sessions = {(session.visitor, session.started_at): session for log in bank.sessions for session in log}
    for filters in ({"channel": "app"}, {"domain": "two", "device_type": "mobile"}, {"segment": "SG-TWICE"}):
        days: dict[date, list[int]] = defaultdict(lambda: [0, 0])
        for log in bank.events:
            for event in log:
                if (event.rank, event.code) not in {(0, "B"), (1, "T")}:
                    continue
                session = sessions.get(event.session) if event.session else None
                if "segment" in filters:
                    is_left = event.person in members
                else:
                    is_left = session is not None and all(
                        getattr(session, name) == value for name, value in filters.items()
                    )
                if is_left:
                    days[event.at.astimezone(SEOUL).date()][event.rank] += 1
        shown = bank.call("kpi", None, kpi="KP-RATE", **filters)
        assert {row[0]: (row[1], row[2] or 0) for row in shown} == {day: tuple(n) for day, n in days.items()}, filters
        assert all(row[3] == (row[1] / row[2] if row[2] else None) for row in shown) and shown


def test_filters_of_inflow_channels_are_those_of_the_funnel(bank: Bank) -> None:
    found = 0
    for filters in ({"channel": "app"}, {"domain": "two", "device_type": "mobile"}, {"segment": "SG-B"}):
        for funnel in bank.funnels:
            scope = {**filters, "from_date": date(1971, 1, 1)}
            steps = bank.call("funnel", None, funnel_id=funnel.id, **scope)
            converted = len(bank.call(
                "funnel_people", None, funnel_id=funnel.id, step=len(funnel.steps), outcome="converted", **scope
            ))  # fmt: skip
            for touch in ("first", "last"):
                rows = bank.call("channel_report", None, funnel=funnel.id, touch=touch, **scope)
                entered = steps[0][3] if steps else 0
                assert sum(row[1] for row in rows) == entered, (funnel.id, filters, touch)
                assert sum(row[2] for row in rows) == converted or funnel.steps[-1].optional, (funnel.id, filters)
                found += entered
    assert found > 100, "the entries are gone"
