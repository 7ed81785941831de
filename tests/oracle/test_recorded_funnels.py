"""Funnel cases of PostHog's and ClickHouse's own tests: every question that our definitions can put gets their answer.

All cases lie in one warehouse, each with people of its own; UnexpressedError says why a question cannot be put.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
from tests.oracle import posthog_funnels as posthog
from tests.oracle.recorded import UnexpressedError, check_table
from tests.oracle.recorded_rules import Sequences

from journeymart import pipeline
from journeymart.analysis import Scope, adhoc
from journeymart.db import connect
from journeymart.definitions.loader import read_document
from journeymart.settings import Settings

Asked = dict[str, tuple[str, str, Any]]  # tool, case and recorded counts by name of the funnel


def recorded(shared_data: Path, tool: str) -> list[dict[str, Any]]:
    path = shared_data / "oracles" / tool / "cases.json"
    return json.loads(path.read_text(encoding="utf-8"))


def in_clickhouse(case: dict[str, Any], funnel_id: str) -> dict[str, Any]:
    """The funnel that puts the question of a windowFunnel case; raises UnexpressedError with the reason."""
    if case["function"] != "windowFunnel":
        raise UnexpressedError(f"{case['function']}: not a funnel but a detection rule, below")
    if not case["verified_on_chdb_26_9"]:
        raise UnexpressedError("ClickHouse itself gives another answer now")
    modes = set(case["params"]["modes"])
    odd = modes - {"strict_order", "strict_once", "strict_deduplication"}
    if odd:
        raise UnexpressedError(f"mode {min(odd)}")
    conditions = case["conditions"]
    if "strict_order" in modes and len(set(conditions)) < len(conditions):
        raise UnexpressedError("mode strict_order with a step that occurs twice")
    if "strict_order" in modes and any(one == {**other, "t": one["t"]} for other, one in pairwise(case["events"])):
        raise UnexpressedError("mode strict_order passes over repeats; here anything but the next step ends an attempt")
    if not modes and len(set(conditions)) < len(conditions):
        raise UnexpressedError("one event may be several steps; here each step needs an event of its own")
    steps = [{"name": f"{number}", "source": "screen", "where": _where(text)} for number, text in enumerate(conditions)]
    steps += [posthog.NEVER] if len(steps) == 1 else []
    repeats = [
        {"source": "screen", "where": step["where"], "from_step": number, "to_step": len(steps)}
        for number, step in enumerate(steps[:-1], 1)
    ]
    return {
        "exclusions": repeats if "strict_deduplication" in modes else [],
        "id": funnel_id, "label": {"ko": "시험", "en": "Test"}, "owner": "tests", "steps": steps, "entry": "best",
        "order": "strict" if "strict_order" in modes else "ordered",
        "window": f"{min(case['params']['window'], 10**9)}s",
    }  # fmt: skip


def by_step(case: dict[str, Any]) -> list[int]:
    """What was recorded by user, as counts by step."""
    return [sum(level > step for level in case["expected"].values()) for step in range(len(case["conditions"]))]


def asked_of(questions: posthog.Questions, windows: dict[int, dict[str, Any]], funnels: dict[str, Any]) -> Asked:
    """The questions whose answer is a count by step."""
    return {
        name: ("posthog", str(number), expected)
        for name, (number, query, expected) in questions.items()
        if query["funnel"] == name and "breakdown" not in funnels[name] and query.get("expected_step_counts")
    } | {
        f"FN-CH-{number}": ("clickhouse", f"ch{number}", by_step(case))
        for number, case in windows.items()
        if not funnels[f"FN-CH-{number}"]["exclusions"]  # which are a mode here, and not the default
    }


def asked_by_default(
    warehouse: Settings, directory: Path, funnels: dict[str, dict[str, Any]], asked: Asked
) -> set[str]:
    """Put the questions as they would be put here, and have them answered as by their tool, which must be as recorded;
    returns the tools of which some answer is not ours."""
    differing = set()
    for name, (peer, case, expected) in asked.items():
        content = {key: value for key, value in funnels[name].items() if key not in {"entry", "exclusion_mode"}}
        for part in ("steps", "exclusions"):
            if part in content:
                content[part] = [
                    item | {"where": {"any_of": [item["where"]], "properties.case": case}} for item in content[part]
                ]
        file = directory / "one.yml"
        file.write_text(json.dumps({"funnels": [content]}), encoding="utf-8")
        document = read_document("funnels", file)
        rows = adhoc.funnel_as(warehouse, document, Scope(), peer, funnel_id=None, is_published=False).records()
        ours, theirs = (
            [None if known is None else count for known, count in zip(expected, rows[place]["entered"], strict=False)]
            for place in (0, -1)
        )
        assert theirs == expected, (name, rows)
        if ours != expected:
            differing.add(peer)
    return differing


def _where(text: str) -> dict[str, Any]:
    """A condition in SQL as one of ours."""
    if " and " in text:
        return {name: value for part in text.split(" and ") for name, value in _where(part).items()}
    if found := re.fullmatch(r"event = '?(\w+)'?", text):
        return {"page_code": found[1]}
    if found := re.fullmatch(r"coalesce\((\w),''\)='(\w+)'", text):
        return {f"properties.{found[1]}": found[2]}
    if found := re.fullmatch(r"(\w) is null", text):
        return {f"properties.{found[1]}": {"is_null": True}}
    raise UnexpressedError(f"condition {text}")


def clickhouse_lines(cases: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, case in enumerate(cases):
        if case["function"] == "windowFunnel":
            for line, event in enumerate(case["events"]):
                person = f"ch{number}:{event.get('user', 1)}"
                moment = datetime.fromtimestamp(event["t"] + (0 if event["t"] > 10**9 else 10**9), UTC)
                yield {
                    "event_id": f"ch{number}-{line}", "event_time": moment.isoformat(), "visitor_id": person,
                    "customer_id": person, "page_code": str(event.get("event", "row")),
                    "properties": {name: event[name] for name in ("a", "b") if event.get(name) is not None}
                    | {"case": f"ch{number}"},
                }  # fmt: skip


def retention_lines(case: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for line, event in enumerate(case["events"]):
        person = f"{case['id']}:{event['user']}"
        yield {
            "event_id": f"{case['id']}-{line}", "event_time": f"{event['date']}T12:00:00Z", "visitor_id": person,
            "page_code": case["id"],
        }  # fmt: skip


def cohort(case: dict[str, Any]) -> dict[str, Any]:
    """Its conditions are the days one after another: who is there on the first, and again on the others."""
    return {
        "id": f"CH-{case['id'].upper().replace('_', '-')}", "label": {"ko": "시험", "en": "Test"}, "owner": "tests",
        "period": "day", "ages": 5, "start": {"source": "screen", "where": {"page_code": case["id"]}},
    }  # fmt: skip


def returned(connection: psycopg.Connection, case: dict[str, Any]) -> list[int]:
    days = [text.split("'")[1] for text in case["conditions"]]
    cells = connection.execute(
        "select age, size, returned from mart.retention_cells(%s) where cohort_start = %s order by age",
        (cohort(case)["id"], days[0]),
    ).fetchall()
    return [size if age == 0 else back for age, size, back in cells[: len(days)]]


def entered(connection: psycopg.Connection) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Who is in which funnel, of which case."""
    entries = defaultdict(list)
    for funnel_id, person, reached, breakdown in connection.execute(
        "select funnel_id, subject_id, step_reached, breakdown from mart.funnel_entry"
    ):
        group, _, name = person.partition(":")
        entries[funnel_id, group].append((name, reached, breakdown))
    return entries


def test_recorded_questions_get_their_answers(shared_data: Path, warehouse: Settings, tmp_path: Path) -> None:
    cases = [*posthog.in_one_zone(recorded(shared_data, "posthog_funnels"))]
    windows = recorded(shared_data, "clickhouse")
    landing, directory = tmp_path / "landing", tmp_path / "definitions"
    (landing / "clickstream").mkdir(parents=True)
    directory.mkdir()
    (landing / "clickstream" / "all.ndjson").write_text(
        "".join(json.dumps(line) + "\n" for of in (posthog.lines(cases), clickhouse_lines(windows)) for line in of),
        encoding="utf-8",
    )
    (landing / "customers").mkdir()
    (landing / "customers" / "all.ndjson").write_text(
        "".join(json.dumps(line) + "\n" for line in posthog.customers(cases)), encoding="utf-8"
    )
    (directory / "sessions.yml").write_text("sessions: {time_zone: UTC, exclude_bots: false}\n")

    reasons: Counter[str] = Counter()
    questions, funnels = posthog.put(cases, reasons)
    window_reasons: Counter[str] = Counter()
    window_questions = {}
    retentions = [case for case in windows if case["function"] == "retention_sum"]
    for number, case in enumerate(windows):
        if case in retentions:
            continue
        try:
            funnels[f"FN-CH-{number}"] = in_clickhouse(case, f"FN-CH-{number}")
            window_questions[number] = case
        except UnexpressedError as reason:
            window_reasons[str(reason)] += 1

    (landing / "clickstream" / "retention.ndjson").write_text(
        "".join(json.dumps(line) + "\n" for case in retentions for line in retention_lines(case)), encoding="utf-8"
    )
    (directory / "cohorts.yml").write_text(json.dumps({"cohorts": [cohort(case) for case in retentions]}))
    sequences = Sequences(shared_data, landing / "clickstream", directory)
    (directory / "funnels.yml").write_text(json.dumps({"funnels": [*funnels.values()]}), encoding="utf-8")
    pipeline.run(warehouse, landing, definitions=directory)
    with connect("jm_dashboard", settings=warehouse) as connection:
        entries = entered(connection)
        for case in retentions:
            assert returned(connection, case) == case["expected"], case["id"]
        wrong: dict[tuple[str, str], Any] = sequences.wrong(connection)
        for question, (number, query, expected) in questions.items():
            if posthog.is_report(query):
                found = posthog.answer_report(connection, query, expected)
            else:
                found = posthog.answer(query, entries[query["funnel"], str(number)], expected)
            if found != expected:
                wrong[question, cases[number]["case"]] = (found, expected)
    for number, case in window_questions.items():
        reached = {name: level for name, level, _ in entries[f"FN-CH-{number}", f"ch{number}"]}
        found = {user: reached.get(user, 0) for user in case["expected"]}
        if found != case["expected"]:
            wrong[case["id"], "clickhouse"] = (found, case["expected"])
    assert wrong == {}, wrong
    check_table("posthog_funnels", len(questions), reasons)
    asked = asked_of(questions, window_questions, funnels)
    assert asked_by_default(warehouse, tmp_path, funnels, asked) == {"posthog"}
    check_table("clickhouse", len(window_questions) + len(retentions), window_reasons)
