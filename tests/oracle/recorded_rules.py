"""Sequence cases of ClickHouse's and Trino's own tests as detection rules; Unexpressed says why one cannot be put."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from tests.oracle.recorded import UnexpressedError, check_table

TOOLS = {"clickhouse_sequences": "clickhouse", "trino_match_recognize": "trino_match_recognize"}
COMPARED = {"value < prev(value)": ["down"], "value <= prev(value)": ["down", "same"], "value = prev(value)": ["same"]}
QUANTIFIERS = {"+?": 1, "{1,}?": 1, "{2,}?": 2, "{5,}": 5, "{5,}?": 5, "{1,1}": 1}


class Sequences:
    """All cases of all tools, written where they are landed if they can be put as rules; and why the others cannot."""

    def __init__(self, shared_data: Path, clickstream: Path, definitions: Path) -> None:
        self.questions: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in TOOLS}
        self.reasons: dict[str, Counter[str]] = {table: Counter() for table in TOOLS}
        self.rules: list[dict[str, Any]] = []
        for table in TOOLS:
            for rule_id, case in cases(shared_data, table).items():
                try:
                    self.rules.append(express(case, rule_id))
                    self.questions[table][rule_id] = case
                except UnexpressedError as reason:
                    self.reasons[table][str(reason)] += 1
        with (clickstream / "sequences.ndjson").open("w", encoding="utf-8") as file:
            for of_table in self.questions.values():
                for rule_id, case in of_table.items():
                    file.writelines(json.dumps(line) + "\n" for line in lines(case, rule_id))
        (definitions / "rules.yml").write_text(json.dumps({"rules": self.rules}), encoding="utf-8")

    def wrong(self, connection: psycopg.Connection) -> dict[tuple[str, str], Any]:
        """What is found and what was recorded, where they differ; how many can be put is in docs/semantics.md."""
        differing = {}
        for table, of_table in self.questions.items():
            check_table(table, len(of_table), self.reasons[table])
            for rule_id, found in answers(connection, of_table).items():
                if found != wanted(of_table[rule_id]):
                    differing[table, of_table[rule_id]["id"]] = (found, wanted(of_table[rule_id]))
        return differing


def cases(shared_data: Path, table: str) -> dict[str, dict[str, Any]]:
    """Cases by the id of their rule."""
    path = shared_data / "oracles" / TOOLS[table] / "cases.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    found = content["cases"] if isinstance(content, dict) else content
    return {
        f"DR-{table[:2].upper()}-{number}": case
        for number, case in enumerate(found)
        if table.startswith("trino") or case["function"].startswith("sequence")
    }


def lines(case: dict[str, Any], rule_id: str) -> Iterator[dict[str, Any]]:
    """A case's rows as clickstream of one person of its own; how a row compares to the one before is a property."""
    rows = case["events"] if "events" in case else [{"t": row, "value": value} for row, value in case["rows_id_value"]]
    before: Any = None
    for row in rows:
        value = row.get("value")
        properties = {}
        if before is not None and value is not None:
            properties = {"step": "same" if value == before else "down" if value < before else "up"}
        before = value
        moment = datetime.fromtimestamp(10**9 + row["t"], UTC)
        yield {
            "event_id": f"{rule_id}:{row['t']}", "event_time": moment.isoformat(),
            "visitor_id": rule_id, "customer_id": rule_id, "page_code": str(row.get("event", "row")),
            "properties": properties,
        }  # fmt: skip


def express(case: dict[str, Any], rule_id: str) -> dict[str, Any]:
    """The rule that puts the question of a case; raises UnexpressedError with the reason."""
    extra = _sequence(case) if "function" in case else _row_pattern(case)
    return {"id": rule_id, "label": {"ko": "시험", "en": "Test"}, "owner": "tests", **extra}


def wanted(case: dict[str, Any]) -> Any:
    """What was recorded: whether there is a match, how many, or which rows each has."""
    if "function" in case:
        return case["expected"]["1"]
    found: dict[int, list[int]] = {}
    for row, match, _, _ in case["expected_id_match_val_label"]:
        found.setdefault(match, []).append(row)
    return list(found.values())


def answers(connection: psycopg.Connection, questions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ours, in the form of what was recorded, by rule."""
    hits: dict[str, list[list[int]]] = {rule_id: [] for rule_id in questions}
    for rule_id, person, evidence in connection.execute(
        "select rule_id, customer_id, evidence from mart.detection order by rule_id, detected_at"
    ):
        if person == rule_id and rule_id in hits:
            hits[rule_id].append([int(item["id"].partition(":")[2]) for item in evidence])
    return {
        rule_id: {"sequenceMatch": int(bool(found)), "sequenceCount": len(found)}.get(
            questions[rule_id].get("function", ""), found
        )
        for rule_id, found in hits.items()
    }


def _sequence(case: dict[str, Any]) -> dict[str, Any]:
    pattern, conditions = case["params"]["pattern"], case["conditions"]
    if not pattern or "*" in pattern:
        raise UnexpressedError("a pattern that nothing at all fulfils")
    if re.search(r"\?t(>|==)", pattern):
        raise UnexpressedError("a least time between two steps")
    within = None
    steps: list[dict[str, Any]] = []
    for part in re.findall(r"\(\?\d+\)|\(\?t<=?\d+\)|\.", pattern):
        if part.startswith("(?t"):
            seconds = int(part.strip("(?t<=)"))
            within = f"{seconds if '<=' in part else seconds - 1}s"
            continue
        step: dict[str, Any] = {"name": part, "source": "screen"}
        if part != ".":
            step["where"] = {"page_code": conditions[int(part[2:-1]) - 1].removeprefix("event = ")}
        steps.append(step | ({"within": within} if within else {}))
    # two steps with a time between them may lie apart; otherwise each is the very next row
    return {"steps": steps, "order": "relaxed" if within else "strict"}


def _row_pattern(case: dict[str, Any]) -> dict[str, Any]:
    pattern = case["pattern"]
    if any(row[3] is None for row in case["expected_id_match_val_label"]) or pattern == "() | A":
        raise UnexpressedError("a match of nothing")
    if "^" in pattern or "$" in pattern:
        raise UnexpressedError("an anchor at the first or last row")
    if "|" in pattern or "PERMUTE" in pattern:
        raise UnexpressedError("which of several alternatives a row was")

    def step(name: str, times: int = 1) -> dict[str, Any]:
        text = case["define"].get(name, "true")
        where = {} if text == "true" else {"properties.step": COMPARED[text]}
        return {"name": name, "source": "screen", "where": where, "times": {"gte": times}}

    letters = re.sub(r"[() ]", "", pattern)
    if letters.isalpha():
        return {"steps": [step(letter) for letter in letters], "order": "strict"}
    if pattern[1:] not in QUANTIFIERS:
        raise UnexpressedError("as many rows as possible: here the first event that completes a match does")
    return {"steps": [step(pattern[0], QUANTIFIERS[pattern[1:]])], "order": "strict"}
