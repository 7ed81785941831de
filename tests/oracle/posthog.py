"""PostHog's recorded questions on paths and on groups of persons, in our words, or why they cannot be put."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.oracle.paths import EXIT

Ask = Callable[..., list[tuple[Any, ...]]]
LABEL = {"ko": "시험", "en": "Test"}
PAGE, SCREEN = "$pageview", "$screen"


class ReasonError(Exception):
    """Why a question cannot be put."""


@dataclass
class Question:
    """The lines that one question is about, the segment it needs, and whether our answer is the recorded one."""

    name: str
    lines: list[dict[str, Any]]
    holds: Callable[[Ask], bool]
    segment: dict[str, Any] | None = field(default=None)


def questions(shared_data: Path, file: str, express: Callable[..., Question], reasons: Counter[str]) -> list[Question]:
    """What can be asked of a file of cases; why the rest cannot be goes to `reasons`."""
    found = []
    for number, case in enumerate(json.loads((shared_data / "oracles" / file).read_text(encoding="utf-8"))):
        for query in case["queries"]:
            try:
                found.append(express(case, query, f"{file[8:9]}{number}-{query['query_no']}"))
            except ReasonError as reason:
                reasons[str(reason)] += 1
    return found


# ── paths ──

NOT_OF_PATHS = {
    "funnel_paths": "only the people of a step of a funnel",
    "path_groupings": "wildcards that group pages for one question; here pages.yml does for all",
    "properties": "a filter on properties of the event or of a group of persons",
    "end_point": "steps counted from the beginning of what leads to a page; here back from it",
    "edge_limit": "only so many edges; here so many nodes",
    "start_point": "steps counted from a page on, with only so many edges",
}


def path_question(case: dict[str, Any], query: dict[str, Any], name: str) -> Question:
    """Edges of the first steps, or the people of one; the time per edge is not compared. Of the events, only those of
    the kinds asked for are landed. Sessions are what PostHog calls a path: a pause of 30 minutes ends it."""
    parameters = query["parameters"][0]
    for key, reason in NOT_OF_PATHS.items():
        if parameters.get(key):
            raise ReasonError(reason)
    if case.get("team_flags"):
        raise ReasonError("rules that clean URLs for one team")
    lines = [
        {"visitor_id": f"{name}-{event['person']}", "event_time": event["timestamp"], "page_code": node, "domain": name}
        for event in case["events"]
        if (node := _node(event)) and _is_wanted(event, node, parameters)
    ]
    dates = {"from_date": parameters.get("date_from", "2012-01-01")[:10], "to_date": parameters.get("date_to")}
    depth = int(parameters.get("step_limit", 5))
    if query["method"] == "get_actors":
        (step, source), (_, target) = (parameters[key].split("_", 1) for key in ("path_start_key", "path_end_key"))
        wanted = [value.removeprefix("person:") for value in query["expected"][0]["value"]]

        def people(ask: Ask) -> bool:
            if int(step) >= depth:
                return wanted == []
            rows = ask("paths_people", step=int(step), from_node=source, to_node=target, domain=name, **dates)
            return [row[1].removeprefix(f"{name}-") for row in rows] == wanted

        return Question(name, lines, people)

    def edges(ask: Ask) -> bool:
        rows = ask("paths_main", depth=depth - 1, domain=name, **dates)
        found = sorted(
            ({"source": f"{step}_{source}", "target": f"{step + 1}_{target}", "value": sessions}
             for step, source, target, sessions, _ in rows if target != EXIT),
            key=lambda edge: (-edge["value"], edge["source"], edge["target"]),
        )  # fmt: skip
        for item in query["expected"]:
            if item["at"] == "":
                whole = [{key: edge[key] for key in ("source", "target", "value")} for edge in item["value"]]
                if sorted(map(str, found)) != sorted(map(str, whole)):
                    return False
                continue
            place, key = item["at"].strip("[]").replace('"', "").split("][")
            if found[int(place)][key] != item["value"]:
                return False
        return True

    return Question(name, lines, edges)


def _node(event: dict[str, Any]) -> str:
    properties = event.get("properties") or {}
    name = {PAGE: properties.get("$current_url"), SCREEN: properties.get("$screen_name")}.get(event["event"])
    name = name if event["event"] in {PAGE, SCREEN} else event["event"]
    return (name.rstrip("/") or "/") if name else ""


def _is_wanted(event: dict[str, Any], node: str, parameters: dict[str, Any]) -> bool:
    kind = event["event"] if event["event"] in {PAGE, SCREEN} else "custom_event"
    kinds = parameters.get("include_event_types", [parameters["path_type"]] if "path_type" in parameters else None)
    named = parameters.get("include_custom_events") or []
    if node in (parameters.get("exclude_events") or []):
        return False
    return kinds is None or kind in kinds or event["event"] in named


# ── groups of persons ──

NOT_OF_GROUPS = {
    "performed_event_first_time": "for the first time ever within so many days",
    "performed_event_regularly": "regularly: in so many of so many periods",
    "performed_event_sequence": "one event after another within so many days; here a funnel or a rule",
    "restarted_performing_event": "again after a pause; here the life cycle of a cohort",
}


def group_question(case: dict[str, Any], query: dict[str, Any], name: str) -> Question:
    """Who did what how often within so many days, and did not."""
    if any(item["assert"] == "raises_validation_error" for item in query["expected"]):
        raise ReasonError("is refused there")
    segment = {
        "id": f"SG-{name.upper()}", "label": LABEL, "owner": "tests",
        "all_of": [_clause(query["parameters"][0]["properties"], name)],
    }  # fmt: skip
    lines = [
        {"visitor_id": f"{name}-{event['person']}", "customer_id": f"{name}-{event['person']}",
         "event_time": event["timestamp"], "page_code": f"{name}:{event['event']}", "domain": name}
        for event in case["events"]
    ]  # fmt: skip
    [wanted] = (item["value"] for item in query["expected"])

    def holds(ask: Ask) -> bool:
        rows = ask("segment_members", segment=segment["id"], as_of=query["now"][:10])
        return [f"person:{row[0].removeprefix(f'{name}-')}" for row in rows] == sorted(wanted)

    return Question(name, lines, holds, segment)


def _clause(group: dict[str, Any], name: str) -> dict[str, Any]:
    if "values" in group:
        return {{"AND": "all_of", "OR": "any_of"}[group["type"]]: [_clause(item, name) for item in group["values"]]}
    if group["type"] != "behavioral":
        raise ReasonError(f"a condition on the {group['type']}, which no landed file here has")
    if group["value"] in NOT_OF_GROUPS:
        raise ReasonError(NOT_OF_GROUPS[group["value"]])
    did = {"source": "screen", "where": {"page_code": f"{name}:{group['key']}"}}
    clause: dict[str, Any] = {"did": did, "within": _days(group["time_value"], group["time_interval"])}
    if group["value"] == "stopped_performing_event":
        later = _days(group["seq_time_value"], group["seq_time_interval"])
        clause = {"all_of": [clause, {"did_not": did, "within": later}]}
    elif group["value"] == "performed_event_multiple":
        count = int(group["operator_value"])
        clause["times"] = {"eq": {"eq": count}, "gte": {"gte": count}, "lte": {"gte": 1, "lte": count}}[
            group["operator"]
        ]
    return {"none_of": [clause]} if group.get("negation") else clause


def _days(number: Any, unit: str) -> str:
    return f"{int(number) * {'day': 1, 'week': 7, 'month': 30}[unit]}d"


# ── what no analysis here answers ──


def unasked(shared_data: Path) -> Iterator[str]:
    """A reason for each question of the files on drivers of conversion and on trends."""
    for file, reason in (
        ("funnel_correlation", "which events or properties go with conversion (correlation)"),
        ("trends", "how often an event happened by day (trends); here sessions, transactions and cohorts are counted"),
    ):
        for case in json.loads(
            (shared_data / "oracles" / "posthog_other" / f"{file}.json").read_text(encoding="utf-8")
        ):
            yield from [reason] * len(case["queries"])
