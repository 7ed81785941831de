"""Every funnel agrees with its reference on hundreds of random logs: each person, and each number."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from tests.oracle import funnels, logs
from tests.oracle.bank import Bank
from tests.oracle.funnels import Entry

from journeymart.analysis import Scope, adhoc, call
from journeymart.db import connect


def test_everyone_in_a_funnel_is_where_the_reference_says(bank: Bank) -> None:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in bank.connection.execute(
        """
        select
            e.funnel_id,
            coalesce(s.visitor_id || '@' || to_char(s.started_at, 'YYYY-MM-DD"T"HH24:MI:SS.US'), e.subject_id),
            e.entered_at, e.step_times, e.status, e.open_until, e.breakdown, e.attempt_no, e.is_tie_decided
        from mart.funnel_entry as e
        left join mart.session as s on e.subject_id = s.session_id::text
        """
    ):
        found[row[0]].append((row[1], row[2], tuple(row[3]), *row[4:]))
    for funnel in bank.funnels:
        wanted = [
            (session_name(e.subject), e.entered_at, e.step_times, status(e, bank.watermark), e.open_until, e.breakdown,
             e.attempt_no, e.tie_decided)
            for e in bank.entries[funnel.id]
        ]  # fmt: skip
        assert sorted(found[funnel.id], key=str) == sorted(wanted, key=str), funnel
    assert any(entry.tie_decided for entries in bank.entries.values() for entry in entries)


def session_name(subject: str) -> str:
    visitor, _, start = subject.partition("@")
    return f"{visitor}@{datetime.fromisoformat(start):%Y-%m-%dT%H:%M:%S.%f}" if start else subject


def status(entry: Entry, watermark: datetime) -> str:
    if entry.converted:
        return "converted"
    return "dropped" if entry.over or (entry.open_until and entry.open_until < watermark) else "open"


def test_steps_are_counted_by_the_date_of_entry(bank: Bank) -> None:
    found: dict[tuple[str, date], dict[tuple[str, int], tuple[Any, ...]]] = defaultdict(dict)
    for funnel_id, entry_date, breakdown, step_no, *numbers in bank.connection.execute(
        "select funnel_id, entry_date, breakdown, step_no, entered, converted, dropped, still_open, tie_decided,"
        " median_seconds"
        " from mart.funnel_step where funnel_id = any(%s)",
        ([funnel.id for funnel in bank.funnels],),
    ):
        found[funnel_id, entry_date][breakdown, step_no] = tuple(numbers)
    wanted = {}
    for funnel in bank.funnels:
        by_date = defaultdict(list)
        for entry in bank.entries[funnel.id]:
            by_date[entry.entered_at.astimezone(logs.SEOUL).date()].append(entry)
        for entry_date, entered in by_date.items():
            wanted[funnel.id, entry_date] = funnels.steps_of(funnel, entered, bank.watermark)
    assert found.keys() ^ wanted.keys() == set()
    for key, steps in wanted.items():
        assert found[key].keys() == steps.keys()
        for step, (*counts, seconds) in steps.items():
            *found_counts, found_seconds = found[key][step]
            assert found_counts == counts, (key, step)
            assert found_seconds == pytest.approx(seconds), (key, step)


def test_the_report_and_the_people_behind_it(bank: Bank) -> None:
    """mart.funnel() over all dates is the reference over all logs, and each of its numbers is a list of people."""
    for funnel in bank.funnels:
        entered = bank.entries[funnel.id]
        everyone = funnels.steps_of(funnel, [replace(entry, breakdown="all") for entry in entered], bank.watermark)
        nobody = {("all", step): (0, 0, 0, 0, 0) for step in range(1, len(funnel.steps) + 1)}
        rows = bank.call("funnel", None, funnel_id=funnel.id)
        assert {("all", row[1]): (*row[3:7], row[11]) for row in rows} == nobody | {
            key: value[:5] for key, value in everyone.items()
        }
        by_value = bank.call("funnel", None, funnel_id=funnel.id, breakdown_by="breakdown")
        assert {(row[0], row[1]): row[3:7] for row in by_value} == {
            key: value[:4] for key, value in funnels.steps_of(funnel, entered, bank.watermark).items()
        }
        for row in rows[:: len(rows) - 1 or 1]:
            for outcome, count in zip(("entered", "converted", "dropped", "still_open"), row[3:7], strict=True):
                people = bank.call("funnel_people", None, funnel_id=funnel.id, step=row[1], outcome=outcome)
                assert len(people) == count, (funnel.id, row[1], outcome)
        times = bank.call("funnel_times", None, funnel_id=funnel.id, bins=3)
        assert sum(row[2] for row in times) == sum(row[3] for row in rows[-1:])


def test_groups_are_what_the_filters_of_the_same_name_leave(bank: Bank) -> None:
    """By channel, device and segment, in the report, in the comparison and among the people behind it."""
    segments = [row[0] for row in bank.connection.execute("select segment_id from mart.segment where members > 0")]
    for funnel in bank.funnels[:8]:
        everyone = bank.call("funnel", None, funnel_id=funnel.id)
        by_channel = bank.call("funnel", None, funnel_id=funnel.id, breakdown_by="channel")
        for channel in ("web", "app"):
            wanted = [row[1:] for row in bank.call("funnel", None, funnel_id=funnel.id, channel=channel)]
            group = [row[1:] for row in by_channel if row[0] == channel]
            assert group == (wanted if wanted[0][2] else []), (funnel.id, channel)
            people = bank.call("funnel_people", None, funnel_id=funnel.id, step=1, channel=channel)
            assert len(people) == sum(row[2] for row in wanted[:1]), (funnel.id, channel)
        for step in everyone:
            assert sum(row[3] for row in by_channel if row[1] == step[1]) == step[3], funnel.id
        found = 0
        for device in ("mobile", "desktop"):
            rows = bank.call("funnel", None, funnel_id=funnel.id, device_type=device)
            people = bank.call("funnel_people", None, funnel_id=funnel.id, step=1, device_type=device)
            assert len(people) == sum(row[3] for row in rows[:1]), (funnel.id, device)
            compared = bank.call(
                "funnel_compare", None, funnel_id=funnel.id, segment_a=None, segment_b=None, device_type=device
            )
            assert [row[2] for row in compared] == [row[3] for row in rows]
            found += len(people)
        assert found == sum(row[3] for row in by_channel if row[1] == 1 and row[0] != "(none)"), funnel.id
        by_segment = bank.call("funnel", None, funnel_id=funnel.id, breakdown_by="segment", segments=segments)
        for segment in segments:
            wanted = [row[1:] for row in bank.call("funnel", None, funnel_id=funnel.id, segment=segment)]
            group = [row[1:] for row in by_segment if row[0] == segment]
            assert group == (wanted if wanted[0][2] else []), (funnel.id, segment)  # of nobody there is no group
            compared = bank.call("funnel_compare", None, funnel_id=funnel.id, segment_a=segment, segment_b=None)
            assert [(row[0], row[2], row[3]) for row in compared] == [
                (step[1], next((row[2] for row in wanted if row[0] == step[1]), 0), step[3]) for step in everyone
            ]
    for row in bank.call("funnel_compare", None, funnel_id=funnel.id, segment_a=None, segment_b=None):
        assert row[6] == 0 and (row[0] == 1 or row[7] < 0 < row[8])


def test_the_interval_of_a_difference_is_newcombes(bank: Bank) -> None:
    """The worked examples of the paper, table II: (56/70, 48/80) and (0/20, 0/10), method 10."""
    query = "select * from mart.share_difference(%s, %s, %s, %s)"
    with connect("jm_admin", settings=bank.settings) as connection:
        for counts, low, high in (((56, 70, 48, 80), 0.0524, 0.3339), ((0, 20, 0, 10), -0.2775, 0.1611)):
            row = connection.execute(query, counts).fetchone()
            assert row is not None
            assert row[3:] == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_a_funnel_that_is_not_applied_has_the_same_numbers(bank: Bank, tmp_path: Path) -> None:
    for funnel in random.Random(bank.number).sample(bank.funnels, 4):
        path = tmp_path / "one.yml"
        path.write_text(json.dumps({"funnels": [bank.content[funnel.id]]}), encoding="utf-8")
        scope = Scope(channel="web", from_date=logs.date_of(5), to_date=logs.date_of(200))
        rows = adhoc.funnel(bank.settings, path, scope, breakdown_by="breakdown").rows
        applied = call(
            bank.settings, "funnel", {"funnel_id": funnel.id, "breakdown_by": "breakdown", **scope.arguments()}
        ).rows
        assert rows == applied, funnel


def test_a_department_sees_no_report_of_another_ones_funnels(bank: Bank) -> None:
    owner = bank.funnels[0].owner
    wanted = {item.id: bank.call("channel_report", None, funnel=item.id) for item in bank.funnels}
    assert any(wanted.values())
    with connect("jm_report", settings=bank.settings, autocommit=True) as connection:
        for department, seen in ((owner, True), ("*", True), ("elsewhere", False), ("", False)):
            connection.execute("select set_config('journeymart.departments', %s, false)", (department,))
            for funnel_id, rows in wanted.items():
                found = connection.execute("select * from mart.channel_report(%s)", (funnel_id,)).fetchall()
                assert found == (rows if seen else []), (department, funnel_id)
                for function in ("funnel", "funnel_times"):
                    call_it = sql.SQL("select true from mart.{}(%s) limit 1").format(sql.Identifier(function))
                    rows_found = connection.execute(call_it, (funnel_id,)).fetchall()
                    assert seen or rows_found == [], (department, function, funnel_id)
        past_the_rules = connection.execute(
            """
            select p.oid::regprocedure::text
            from pg_proc as p
            where
                p.pronamespace = 'mart'::regnamespace and p.prosecdef
                and has_function_privilege(p.oid, 'execute')
                and exists (
                    select from pg_policies as r
                    where r.schemaname = 'mart' and p.prosrc ~ ('mart\\.' || r.tablename || '\\M')
                )
                and p.prosrc !~ 'mart\\.funnel_definition\\M'
            """
        ).fetchall()
        assert past_the_rules == []
