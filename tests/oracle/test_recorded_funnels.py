"""Funnel cases of PostHog's and ClickHouse's own tests: every question that our definitions can put gets their answer.

All cases lie in one warehouse, each with people of its own; UnexpressedError says why a question cannot be put.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError
from tests.oracle.recorded import check_table
from tests.oracle.recorded_rules import Sequences

from journeymart import pipeline
from journeymart.analysis import Scope, adhoc
from journeymart.db import connect
from journeymart.definitions.funnels import Funnel
from journeymart.definitions.loader import read_document
from journeymart.settings import Settings

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

OPERATORS = {"exact": "in", "icontains": "contains", "is_not": "not_in", "is_set": "is_null"}
Asked = dict[str, tuple[str, str, Any]]  # tool, case and recorded counts by name of the funnel

ORDERS = {"ordered": "ordered", "strict": "strict", "unordered": "any"}


class UnexpressedError(Exception):
    """Why a question cannot be put."""


def recorded(shared_data: Path, tool: str) -> list[dict[str, Any]]:
    path = shared_data / "oracles" / tool / "cases.json"
    return json.loads(path.read_text(encoding="utf-8"))


def key(name: str) -> str:
    """A property's name without the dollar that ours cannot have."""
    return name.replace("$", "").replace(" ", "_")


def condition(step: dict[str, Any], query: dict[str, Any]) -> dict[str, Any]:
    """The condition of a step or of an exclusion."""
    alternatives = step.get("any_of") or [step]
    parts = []
    for one in alternatives:
        where: dict[str, Any] = {"page_code": one.get("event") or one.get("id")}
        if {"tag_name", "href", "text", "selector"} & one.keys():
            raise UnexpressedError("elements of an automatically captured click: what was clicked has a name here")
        properties = one.get("properties") or []
        if isinstance(properties, dict):
            properties = [{"key": name, "value": value} for name, value in properties.items()]
        for item in properties:
            if item.get("type", "event") != "event":
                raise UnexpressedError(f"a property of the {item['type']}, which no landed file here has")
            operator, value = OPERATORS.get(item.get("operator") or "exact"), item["value"]
            if operator is None:
                raise UnexpressedError(f"operator {item['operator']}")
            if operator == "contains" and not isinstance(value, str):
                raise UnexpressedError("contains with several values")
            if operator == "in" and not isinstance(value, list):
                value = [value]
            where[f"properties.{key(item['key'])}"] = {operator: value}
        parts.append(where)
    where = parts[0] if len(parts) == 1 else {"any_of": parts}
    dates = {}
    for name, operator in (("date_from", "gte"), ("date_to", "lte")):
        moment = query.get(name)
        if moment:
            if not moment[:4].isdigit() or (moment[10:] and moment[11:] not in {"00:00:00", "23:59:59"}):
                raise UnexpressedError("a range of dates relative to today, or with a time")
            exclusive = name == "date_to" and moment[11:] == "00:00:00"
            dates["lt" if exclusive else operator] = moment[:10]
    return {"source": "screen", "where": {**where, **({"date": dates} if dates else {})}}


def express(query: dict[str, Any], funnel_id: str) -> dict[str, Any]:
    """The funnel that puts the question of `query`; raises UnexpressedError with the reason."""
    kind = query["type"].removesuffix("_actors")
    if kind not in ORDERS:
        raise UnexpressedError(f"{kind}: a report, not a funnel; its numbers are sums over funnel_entry")
    extra = {name: value for name, value in (query.get("other_parameters") or {}).items() if value is not None}
    if len(query["steps"]) < 2:
        raise UnexpressedError("a funnel of one step")
    if extra.get("properties"):
        raise UnexpressedError("a filter on properties of the person, which no landed file here has")
    content: dict[str, Any] = {
        "id": funnel_id, "label": {"ko": "시험", "en": "Test"}, "owner": "tests",
        "steps": [{"name": f"{number}", **condition(step, query)} for number, step in enumerate(query["steps"])],
        "order": ORDERS[kind], "window": f"{query['window_seconds']}s", "entry": "latest",
        "exclusion_mode": "drop_person",
    }  # fmt: skip
    for exclusion in query.get("exclusions") or []:
        if exclusion["type"] != "events":
            raise UnexpressedError("an exclusion that is an action, defined elsewhere")
        between = {"from_step": exclusion["funnel_from_step"] + 1, "to_step": exclusion["funnel_to_step"] + 1}
        if kind == "unordered":
            between = {}
        content.setdefault("exclusions", []).append({**condition(exclusion, query), **between})
    if query.get("breakdown"):
        if query["breakdown_type"] != "event":
            raise UnexpressedError(f"a breakdown by {query['breakdown_type']}, which no landed file here has")
        names = query["breakdown"] if isinstance(query["breakdown"], list) else [query["breakdown"]]
        if len(names) > 1:
            raise UnexpressedError("a breakdown by several properties at once")
        attribution = extra.get("breakdown_attribution_type", "first_touch")
        if attribution != "step":
            raise UnexpressedError(f"breakdown attributed by {attribution}: here the value counts as of one step")
        step = int(extra.get("breakdown_attribution_value") or 0) + 1
        if step > 1:
            raise UnexpressedError("breakdown as of a later step: it leaves out who did not come to it; here (none)")
        content["breakdown"] = {"by": f"properties.{key(names[0])}", "as_of_step": step}
    try:
        Funnel.model_validate(content)
    except ValidationError as error:
        raise UnexpressedError(f"refused: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return content


def wanted(query: dict[str, Any]) -> Any:
    """What was recorded: counts by step, or people of one step (negative: those who did not come to it)."""
    if query.get("breakdown") and not query["type"].endswith("_actors"):
        raise UnexpressedError("a whole answer by breakdown value; its people are asked for by other questions")
    if query.get("expected_step_counts"):
        return query["expected_step_counts"]
    extra = query.get("other_parameters") or {}
    for item in query["expected"]:
        if item["assert"] in {"same_elements_any_order", "equal"} and item["at"] == '[*]["id"]':
            if "funnel_step" not in extra:
                break
            return sorted(person.removeprefix("person:") for person in item["value"])
        if item["at"] == "|len" and "funnel_step" in extra and "funnel_custom_steps" not in extra:
            return item["value"]
    raise UnexpressedError("recorded in another form: names, links or refusals")


def answer(query: dict[str, Any], entries: list[tuple[Any, ...]], expected: Any) -> Any:
    """Ours, in the form of what was recorded."""
    extra = query.get("other_parameters") or {}
    if "funnel_step" not in extra:
        counts = [sum(reached > step for _, reached, _ in entries) for step in range(len(query["steps"]))]
        return [None if known is None else count for known, count in zip(expected, counts, strict=False)]
    step = extra["funnel_step"]
    chosen = extra.get("funnel_step_breakdown")
    chosen = chosen[0] if isinstance(chosen, list) else chosen
    people = sorted(
        person
        for person, reached, breakdown in entries
        if (reached >= step if step > 0 else reached == -step - 1)
        and (chosen is None or breakdown == (str(chosen) or "(none)"))
    )
    return len(people) if isinstance(expected, int) else people


def in_clickhouse(case: dict[str, Any], funnel_id: str) -> dict[str, Any]:
    """The funnel that puts the question of a windowFunnel case; raises UnexpressedError with the reason."""
    if case["function"] != "windowFunnel":
        raise UnexpressedError(f"{case['function']}: no funnel")
    if not case["verified_on_chdb_26_9"]:
        raise UnexpressedError("ClickHouse itself gives another answer now")
    modes = set(case["params"]["modes"])
    odd = modes - {"strict_order", "strict_once"}
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
    if len(steps) < 2:
        raise UnexpressedError("a funnel of one step")
    return {
        "id": funnel_id, "label": {"ko": "시험", "en": "Test"}, "owner": "tests", "steps": steps, "entry": "best",
        "order": "strict" if "strict_order" in modes else "ordered",
        "window": f"{min(case['params']['window'], 10**9)}s",
    }  # fmt: skip


def by_step(case: dict[str, Any]) -> list[int]:
    """What was recorded by user, as counts by step."""
    return [sum(level > step for level in case["expected"].values()) for step in range(len(case["conditions"]))]


def asked_of(
    questions: dict[str, tuple[int, dict[str, Any], Any]], windows: dict[int, dict[str, Any]], funnels: dict[str, Any]
) -> Asked:
    """The questions whose answer is a count by step."""
    return {
        name: ("posthog", str(number), expected)
        for name, (number, query, expected) in questions.items()
        if query["funnel"] == name and "breakdown" not in funnels[name] and query.get("expected_step_counts")
    } | {f"FN-CH-{number}": ("clickhouse", f"ch{number}", by_step(case)) for number, case in windows.items()}


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
    if found := re.fullmatch(r"event = '?(\w+)'?", text):
        return {"page_code": found[1]}
    if found := re.fullmatch(r"coalesce\((\w),''\)='(\w+)'", text):
        return {f"properties.{found[1]}": found[2]}
    if found := re.fullmatch(r"(\w) is null", text):
        return {f"properties.{found[1]}": {"is_null": True}}
    raise UnexpressedError(f"condition {text}")


def posthog_lines(cases: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, case in enumerate(cases):
        for line, event in enumerate(case["events"]):
            person = f"{number}:{event.get('person')}"
            properties = {key(name): value for name, value in (event.get("properties") or {}).items()}
            yield {
                "event_id": f"{number}-{line}", "event_time": event["timestamp"], "visitor_id": person,
                "customer_id": person, "page_code": event["event"], "properties": {**properties, "case": f"{number}"},
            }  # fmt: skip


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


def entered(connection: psycopg.Connection) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Who is in which funnel, of which case."""
    entries = defaultdict(list)
    for funnel_id, person, reached, breakdown in connection.execute(
        "select funnel_id, subject_id, step_reached, breakdown from mart.funnel_entry"
    ):
        group, _, name = person.partition(":")
        entries[funnel_id, group].append((name, reached, breakdown))
    return entries


def test_recorded_questions_get_their_answers(
    shared_data: Path, new_warehouse: Callable[[], Settings], tmp_path: Path
) -> None:
    cases, windows = recorded(shared_data, "posthog_funnels"), recorded(shared_data, "clickhouse")
    landing, directory = tmp_path / "landing", tmp_path / "definitions"
    (landing / "clickstream").mkdir(parents=True)
    directory.mkdir()
    (landing / "clickstream" / "all.ndjson").write_text(
        "".join(json.dumps(line) + "\n" for of in (posthog_lines(cases), clickhouse_lines(windows)) for line in of),
        encoding="utf-8",
    )
    (directory / "sessions.yml").write_text("sessions: {time_zone: UTC, exclude_bots: false}\n")

    reasons: Counter[str] = Counter()
    questions: dict[str, tuple[int, dict[str, Any], Any]] = {}
    funnels: dict[str, dict[str, Any]] = {}
    same: dict[str, str] = {}
    for number, case in enumerate(cases):
        for query in case["queries"]:
            question = f"FN-{number}-{query['query_no']}"
            try:
                if "timezones" in case["case"]:
                    raise UnexpressedError("another time zone than the other cases")
                expected = wanted(query)
                content = express(query, question)
            except UnexpressedError as reason:
                reasons[str(reason)] += 1
                continue
            text = json.dumps([number, {k: v for k, v in content.items() if k != "id"}], sort_keys=True)
            funnel_id = same.setdefault(text, question)
            if funnel_id == question:
                funnels[question] = content
            questions[question] = (number, query | {"funnel": funnel_id}, expected)
    window_reasons: Counter[str] = Counter()
    window_questions = {}
    for number, case in enumerate(windows):
        try:
            funnels[f"FN-CH-{number}"] = in_clickhouse(case, f"FN-CH-{number}")
            window_questions[number] = case
        except UnexpressedError as reason:
            window_reasons[str(reason)] += 1

    sequences = Sequences(shared_data, landing / "clickstream", directory)
    (directory / "funnels.yml").write_text(json.dumps({"funnels": [*funnels.values()]}), encoding="utf-8")
    warehouse = new_warehouse()
    pipeline.run(warehouse, landing, definitions=directory)
    with connect("jm_dashboard", settings=warehouse) as connection:
        entries = entered(connection)
        wrong: dict[tuple[str, str], Any] = sequences.wrong(connection)
    for question, (number, query, expected) in questions.items():
        found = answer(query, entries[query["funnel"], str(number)], expected)
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
    check_table("clickhouse", len(window_questions), window_reasons)
