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
from tests.oracle import funnels, logs
from tests.oracle.bank import Bank
from tests.oracle.funnels import Entry

from journeymart.analysis import Scope, adhoc, call

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def test_everyone_in_a_funnel_is_where_the_reference_says(bank: Bank) -> None:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in bank.connection.execute(
        """
        select
            e.funnel_id,
            coalesce(s.visitor_id || '@' || to_char(s.started_at, 'YYYY-MM-DD"T"HH24:MI:SS.US'), e.subject_id),
            e.entered_at, e.step_times, e.status, e.open_until, e.breakdown, e.attempt_no
        from mart.funnel_entry as e
        left join mart.session as s on e.subject_id = s.session_id::text
        """
    ):
        found[row[0]].append((row[1], row[2], tuple(row[3]), *row[4:]))
    for funnel in bank.funnels:
        wanted = [
            (session_name(e.subject), e.entered_at, e.step_times, status(e, bank.watermark), e.open_until, e.breakdown,
             e.attempt_no)
            for e in bank.entries[funnel.id]
        ]  # fmt: skip
        assert sorted(found[funnel.id], key=str) == sorted(wanted, key=str), funnel


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
        "select funnel_id, entry_date, breakdown, step_no, entered, converted, dropped, still_open, median_seconds"
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
        rows = bank.call("funnel", None, funnel_id=funnel.id)
        assert {("all", row[1]): row[3:7] for row in rows} == {key: value[:4] for key, value in everyone.items()}
        by_value = bank.call("funnel", None, funnel_id=funnel.id, by_breakdown=True)
        assert {(row[0], row[1]): row[3:7] for row in by_value} == {
            key: value[:4] for key, value in funnels.steps_of(funnel, entered, bank.watermark).items()
        }
        for row in rows[:: len(rows) - 1 or 1]:
            for outcome, count in zip(("entered", "converted", "dropped", "still_open"), row[3:7], strict=True):
                people = bank.call("funnel_people", None, funnel_id=funnel.id, step=row[1], outcome=outcome)
                assert len(people) == count, (funnel.id, row[1], outcome)
        times = bank.call("funnel_times", None, funnel_id=funnel.id, bins=3)
        assert sum(row[2] for row in times) == sum(row[3] for row in rows[-1:])


def test_a_funnel_that_is_not_applied_has_the_same_numbers(bank: Bank, tmp_path: Path) -> None:
    for funnel in random.Random(bank.number).sample(bank.funnels, 4):
        path = tmp_path / "one.yml"
        path.write_text(json.dumps({"funnels": [bank.content[funnel.id]]}), encoding="utf-8")
        scope = Scope(channel="web", from_date=logs.date_of(5), to_date=logs.date_of(200))
        rows = adhoc.funnel(bank.settings, path, scope, by_breakdown=True).rows
        applied = call(
            bank.settings, "funnel", {"funnel_id": funnel.id, "by_breakdown": True, **scope.arguments()}
        ).rows
        assert rows == applied, funnel
