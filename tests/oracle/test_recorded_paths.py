"""Path questions of ClickHouse's and retentioneering's own tests: all that our analyses can put get their answer.

There every event is a step and a path is all that one user does; so says sessions.yml here. Each question has a domain
of its own, by which it is asked. docs/semantics.md says why the others cannot be put.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.oracle.paths import ENTRY, EXIT
from tests.oracle.recorded import UnexpressedError, check_table

from journeymart import pipeline
from journeymart.db import connect
from journeymart.settings import Settings

START, END = "path_start", "path_end"
LABEL = {"ko": "시험", "en": "Test"}
NOTHING: dict[str, Any] = {}
KNOWN = {"country", "channel", "segment", "screen"}  # what some logs know of an event besides its page
PREPARING = "prepares the log or describes it: no question"
Ask = Callable[..., list[tuple[Any, ...]]]


@dataclass
class Question:
    """The events that one question is about, and whether our answer is the recorded one."""

    domain: str
    events: Iterable[tuple[str, str, str, dict[str, Any]]]  # time, user, page, what else is known of it
    holds: Callable[[Ask], bool]
    groups: dict[str, str] = field(default_factory=dict)  # user → the side of a comparison
    funnels: list[dict[str, Any]] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)


# ── ClickHouse: sequenceNextNode ──


def next_nodes(shared_data: Path, reasons: Counter[str]) -> Iterator[Question]:
    """What follows (or precedes) a chain of events that begins at the first, the last or the first matching event."""
    cases = json.loads((shared_data / "oracles" / "clickhouse" / "next_node_cases.json").read_text(encoding="utf-8"))
    for case in cases:
        chain = [condition.split("'")[1] for condition in case["chain"]]
        for user, answer in case["expected"].items():
            events = [(e["dt"], e["id"], e["action"], NOTHING) for e in case["events"] if e["id"] == user]
            if any(page is None for _, _, page, _ in events):
                reasons["an event without a page is passed over there; here it is a step"] += 1
                continue
            yield Question(f"{case['id']}.{user}", events, _next_node(case, chain, answer))


def _next_node(case: dict[str, Any], chain: list[str], answer: str | None) -> Callable[[Ask], bool]:
    is_back, base = case["direction"] == "backward", case["base"]

    def found(ask: Ask) -> str | None:
        occurrence = "last" if base == "tail" else "first"
        try:
            rows = ask("paths_around", node=chain[0], before=len(chain), after=len(chain), occurrence=occurrence)
        except psycopg.errors.InvalidParameterValue:  # nobody of any question has ever been there
            return None
        if not rows:
            return None
        moves = {step: (source, target) for step, source, target, _ in rows}
        if (base == "head" and moves[-1][0] != ENTRY) or (base == "tail" and moves[0][1] != EXIT):
            return None
        if [moves[-place if is_back else place][0] for place in range(len(chain))] != chain:
            return None
        node = moves[-len(chain)][0] if is_back else moves[len(chain) - 1][1]
        return None if node in {ENTRY, EXIT} else node

    return lambda ask: found(ask) == answer


# ── retentioneering ──


def retentioneering(shared_data: Path, reasons: Counter[str]) -> Iterator[Question]:
    """Transition graphs, funnels, conversions and what is around an event."""
    recorded = json.loads((shared_data / "oracles" / "retentioneering5" / "recorded.json").read_text(encoding="utf-8"))
    calls = [call for test in recorded for call in test["calls"]]
    for number, call in enumerate(calls):
        if is_about_sessions(call):
            continue
        express = EXPRESSIBLE.get(call["method"])
        try:
            if express is None:
                raise UnexpressedError(f"{call['method']}: {PREPARING}")
            if "raises" in call:
                raise UnexpressedError("is refused there: an argument that ours do not have")
            groups = _groups(call) if "diff" in call["kwargs"] else {}
            asking = Asking(f"rt{number}")
            yield Question(asking.domain, _events(call), express(call, asking), groups, asking.funnels, asking.segments)
        except UnexpressedError as reason:
            reasons[str(reason)] += 1


@dataclass
class Asking:
    """The definitions that one question needs, which those who put it add."""

    domain: str
    funnels: list[dict[str, Any]] = field(default_factory=list)
    segments: list[dict[str, Any]] = field(default_factory=list)

    def funnel(self, steps: list[dict[str, Any]], **extra: Any) -> str:
        """The id of a funnel with these conditions as steps."""
        content = {
            "id": f"FN-{self.domain.upper()}-{len(self.funnels)}", "label": LABEL, "owner": "tests", "window": None,
            "steps": [{"name": f"{place}", **self.page(where)} for place, where in enumerate(steps)], **extra,
        }  # fmt: skip
        self.funnels.append(content)
        return str(content["id"])

    def segment(self, *clauses: dict[str, Any]) -> str:
        """The id of a segment for which all of these clauses hold."""
        content = {
            "id": f"SG-{self.domain.upper()}-{len(self.segments)}", "label": LABEL, "owner": "tests",
            "all_of": [*clauses],
        }  # fmt: skip
        self.segments.append(content)
        return str(content["id"])

    def page(self, where: dict[str, Any]) -> dict[str, Any]:
        """A condition on the events of this question."""
        return {"source": "screen", "where": {"domain": self.domain, **where}}

    def of_pattern(self, call: dict[str, Any], name: str = "") -> str | None:
        """The segment of the paths of the pattern that a question is limited to, and of one side of its comparison."""
        pattern = call["kwargs"].get("path_pattern")
        sided = [{"customer": {"attributes.side": f"{self.domain}-{name}"}}] if name else []
        matched = [_pattern(pattern, self)] if pattern else []
        return self.segment(*sided, *matched) if sided or matched else None


def is_about_sessions(call: dict[str, Any]) -> bool:
    """Where a silence ends a session: asked in a mart of its own, for sessions.yml decides it for all."""
    return call["method"] == "split_sessions" and "timeout" in call["kwargs"] and "raises" not in call


def _own(call: dict[str, Any]) -> str:
    """The column that tells paths apart."""
    return str(call["kwargs"].get("path_col", call["schema"].split("path_cols=['")[1].split("'")[0]))


def _events(call: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    rows = [dict(zip(call["input"]["columns"], row, strict=True)) for row in call["input"]["rows"]]
    for row in rows:
        if row["event"] not in {START, END}:
            known = {name: row[name] for name in KNOWN & row.keys()}
            yield row["timestamp"], str(row[_own(call)]), row["event"], known


def _groups(call: dict[str, Any]) -> dict[str, str]:
    """The sides of a comparison: two lists of users, or two values of a column, where <REST> is all others."""
    rows = [dict(zip(call["input"]["columns"], row, strict=True)) for row in call["input"]["rows"]]
    own, diff = _own(call), call["kwargs"]["diff"]
    if isinstance(diff[0], list):
        return {user: side for side, users in zip("ab", diff, strict=True) for user in users}
    column, a, b = diff
    sides = {str(row[own]): row[column] for row in rows}
    return {user: "a" if value == a else "b" for user, value in sides.items() if value in {a, b} or b == "<REST>"}


def _graph(call: dict[str, Any], asking: Asking) -> Callable[[Ask], bool]:
    weight = call["kwargs"].get("edge_weight", "proba_out")
    if "diff" in call["kwargs"]:
        return _graph_difference(call, asking)
    if weight in {"share_of_total", "avg_per_path", "proba_in"}:
        return _graph_quotients(call, weight)
    if weight == "time_median":
        return _graph_times(call)
    if weight == "unique_paths":
        return _graph_paths(call)
    assert weight in {"count", "proba_out"}, weight
    wanted = {edge: value for edge, value in _cells(call["output"]).items() if weight == "count" or edge[0] != START}
    segment = asking.of_pattern(call)

    def holds(ask: Ask) -> bool:
        found = _edges(ask, segment=segment)
        if weight == "count":
            return found == wanted
        shares = {
            (source, END if row[0] == EXIT else row[0]): row[2]
            for source in {source for source, _ in found} - {START}
            for row in ask("paths_next", node=source, segment=segment)
        }
        return shares == {edge: pytest.approx(value, abs=1e-9) for edge, value in wanted.items()}

    return holds


def _graph_paths(call: dict[str, Any]) -> Callable[[Ask], bool]:
    """How many paths have an edge at least once: those behind it at any step."""
    wanted = _cells(call["output"])

    def holds(ask: Ask) -> bool:
        found: dict[tuple[str, str], set[Any]] = defaultdict(set)
        for step, source, target, _, _ in ask("paths_main", depth=100):
            if source == EXIT:
                continue
            people = {row[0] for row in ask("paths_people", step=step, from_node=source, to_node=target)}
            found[source, END if target == EXIT else target] |= people
            if step == 1:
                found[START, source] |= people
        return {edge: len(people) for edge, people in found.items()} == wanted

    return holds


def _edges(ask: Ask, **scope: Any) -> Counter[tuple[str, str]]:
    """How often each edge occurs, with what begins and ends paths."""
    found: Counter[tuple[str, str]] = Counter()
    for step, source, target, sessions, _ in ask("paths_main", depth=100, **scope):
        if step == 1:
            found[START, source] += sessions
        if source != EXIT:
            found[source, END if target == EXIT else target] += sessions
    return found


def _cells(table: dict[str, Any]) -> dict[tuple[str, Any], float]:
    """What a table has that is not 0, by row and column."""
    return {
        (source, target): value
        for source, row in zip(table["index"], table["data"], strict=True)
        for target, value in zip(table["columns"], row, strict=True)
        if value
    }


def _graph_quotients(call: dict[str, Any], weight: str) -> Callable[[Ask], bool]:
    """Counts in relation to all edges (what ends a path among them), to paths, or to all that lead to the same page."""
    wanted = _cells(call["output"])

    def holds(ask: Ask) -> bool:
        found = _edges(ask)
        paths = sum(count for (source, _), count in found.items() if source == START)
        into: Counter[str] = Counter()
        for (_, target), count in found.items():
            into[target] += count
        of = {
            "share_of_total": lambda _edge: found.total(),
            "avg_per_path": lambda _edge: paths,
            "proba_in": lambda edge: into[edge[1]],
        }[weight]
        shares = {edge: count / of(edge) for edge, count in found.items()}
        return shares == {edge: pytest.approx(value, abs=1e-9) for edge, value in wanted.items()}

    return holds


def _graph_times(call: dict[str, Any]) -> Callable[[Ask], bool]:
    """The median time on a page before the next one."""
    wanted = {edge: value for edge, value in _cells(call["output"]).items() if not {START, END} & {*edge}}

    def holds(ask: Ask) -> bool:
        found = {
            (node, row[0]): row[3]
            for node in {source for source, _ in wanted}
            for row in ask("paths_next", node=node)
            if row[0] != EXIT
        }
        return found == wanted != {}

    return holds


def _graph_difference(call: dict[str, Any], asking: Asking) -> Callable[[Ask], bool]:
    differences, *_ = call["output"]
    sides = [asking.of_pattern(call, name) for name in "ab"]

    def holds(ask: Ask) -> bool:
        a, b = (_edges(ask, segment=segment) for segment in sides)
        found = {edge: a[edge] - b[edge] for edge in a | b if a[edge] != b[edge]}
        return found == _cells(differences) != {}

    return holds


def _difference(call: dict[str, Any], asking: Asking) -> Callable[[Ask], bool]:
    """The difference of the shares of two segments that are at a page at a step."""
    differences, *_ = call["output"]
    wanted = {(name, step): value for (name, step), value in _cells(differences).items() if name not in {START, END}}
    steps = call["kwargs"]["max_steps"]
    sides = [asking.of_pattern(call, name) for name in "ab"]

    def holds(ask: Ask) -> bool:
        found: dict[tuple[str, Any], float] = defaultdict(float)
        for row in ask("paths_compare", segment_a=sides[0], segment_b=sides[1], depth=steps):
            if row[1] != EXIT:
                found[row[1], row[0]] += row[7]
        return {key: pytest.approx(value) for key, value in found.items() if abs(value) > 1e-9} == wanted != {}

    return holds


def _funnel(call: dict[str, Any], _asking: Asking) -> Callable[[Ask], bool]:
    wanted = [step["unique_paths"] for step in call["output"]["steps"]]
    nodes = call["kwargs"]["steps"]
    return lambda ask: [row[3] for row in ask("paths_steps", nodes=nodes)] == wanted


def _conversion(call: dict[str, Any], asking: Asking) -> Callable[[Ask], bool]:
    start, end = call["args"]
    within = call["kwargs"].get("within")
    wanted = call["output"]["data"][0][2:4]
    if not isinstance(start, str):
        raise UnexpressedError("from the last visit of a page; here from the first")
    if end == END:  # right after the page

        def ending(ask: Ask) -> bool:
            rows = [row for row in ask("paths_around", node=start, before=1, after=within) if row[0] == within - 1]
            return [sum(row[3] for row in rows), sum(row[3] for row in rows if row[2] == EXIT)] == wanted

        return ending
    first, *others = (part.split("->.*->") for part in (start, end))
    if len(first) > 1 or len(others[0]) > 1:  # patterns: ways on which pages come in this order
        pages = [*first, *others[0]]

        def on_the_way(ask: Ask) -> bool:
            reached = [row[3] for row in ask("paths_steps", nodes=pages)]
            return [reached[len(first) - 1], reached[-1]] == wanted

        return on_the_way
    if within is None or isinstance(within, int):

        def between(ask: Ask) -> bool:
            rows = ask("paths_between", start=start, end=end, max_steps=within)
            return [sum(row[1] for row in rows), sum(row[1] for row in rows if row[0] != EXIT)] == wanted

        return between
    window = within if isinstance(within, str) else f"{within:.0f}s"
    funnel = asking.funnel([{"page_code": page} for page in (start, end)], window=window, count_by="visitor")
    return lambda ask: [row[3] for row in ask("funnel", funnel_id=funnel)] == wanted


def _around(call: dict[str, Any], asking: Asking) -> Callable[[Ask], bool]:
    """Where the paths are some steps before and after a page. Of a pattern, each of its pages has a table."""
    pattern, is_compared = call["kwargs"].get("path_pattern"), "diff" in call["kwargs"]
    if is_compared and pattern is None:
        return _difference(call, asking)
    anchor = call["kwargs"].get("anchor", {})
    anchor = {"pattern": anchor} if isinstance(anchor, str) else anchor
    offset, occurrence = anchor.get("offset", 0), anchor.get("occurrence", "first")
    if not isinstance(offset, int):
        raise UnexpressedError("so much time beside the event")
    nodes = re.split(r"->(?:\.\*|\[[^]]*]\*)->", pattern) if pattern else [anchor["pattern"]]
    if END in nodes or ".*->path_end" in nodes or any("->" in node for node in nodes):
        raise UnexpressedError("steps back from the end of the path, or beside two pages in a row")
    sides = [asking.of_pattern(call, name) for name in ("ab" if is_compared else [""])]
    tables = call["output"][0] if is_compared else call["output"]
    steps = call["kwargs"]["max_steps"]
    wanted = [{cell: share for cell, share in _cells(table).items() if cell[0] != END} for table in tables]

    def shares(ask: Ask, node: str, segment: str | None) -> Counter[tuple[str, int]]:
        found: Counter[tuple[str, int]] = Counter()
        if node == START:
            rows = ask("paths_main", depth=steps, segment=segment)
            total = sum(row[3] for row in rows if row[0] == 1)
            found[START, 0] = total
            rows = [(step, source, target, count) for step, source, target, count, _ in rows if source != EXIT]
            for step, source, target, sessions in rows:
                found[source, 1] += sessions if step == 1 else 0
                found[target, step + 1] += sessions if target != EXIT and step < steps + 1 else 0
        else:
            rows = ask(
                "paths_around", node=node, before=max(steps - offset, 0), after=steps + offset,
                occurrence=occurrence, segment=segment,
            )  # fmt: skip
            total = sum(row[3] for row in rows if row[0] == 0)
            for step, source, target, sessions in rows:
                if step == -max(steps - offset, 0):
                    found[START if source == ENTRY else source, step - offset] += sessions
                if target != EXIT:
                    found[START if target == ENTRY else target, step + 1 - offset] += sessions
        return Counter({cell: sessions / total for cell, sessions in found.items() if sessions})

    def holds(ask: Ask) -> bool:
        for node, table in zip(nodes, wanted, strict=True):
            found = shares(ask, node, sides[0])
            if is_compared:
                found.subtract(shares(ask, node, sides[1]))
            columns = {step for _, step in table} if node == START else {step for _, step in found}
            shown = {cell: share for cell, share in found.items() if share and cell[1] in columns}
            if shown != {cell: pytest.approx(share, abs=1e-9) for cell, share in table.items()}:
                return False
        return True

    return holds


def _truncated(call: dict[str, Any], _asking: Asking) -> Callable[[Ask], bool]:
    """The ways from a page to another one."""
    start, end = (call["kwargs"][f"{name}_anchor"] for name in ("start", "end"))
    start = start["pattern"] if isinstance(start, dict) and start.keys() == {"pattern"} else start
    if not all(isinstance(page, str) and page.isalnum() for page in (start, end)):
        raise UnexpressedError("truncate_paths: from or to something else than the first visit of a page")
    paths: dict[str, list[str]] = defaultdict(list)
    columns = call["output"]["columns"]
    for row in call["output"]["rows"]:
        paths[str(row[columns.index(_own(call))])].append(row[columns.index("event")])
    wanted = Counter(" > ".join(path) for path in paths.values())

    def holds(ask: Ask) -> bool:
        try:
            rows = ask("paths_between", start=start, end=end)
        except psycopg.errors.InvalidParameterValue:  # nobody of any question has ever been there
            rows = []
        return Counter({path: sessions for path, sessions, _ in rows if path != EXIT}) == wanted

    return holds


def _filtered(call: dict[str, Any], asking: Asking) -> Callable[[Ask], bool]:
    """The paths that fulfil a condition: a segment, for a path is a customer here."""
    given = call["args"][0] if call.get("args") else call["kwargs"]["condition"]
    conditions = given if isinstance(given, list) else [given]
    segment = asking.segment(*(_clause(condition, asking) for condition in conditions))
    table = call["output"]
    return _are_members(segment, {str(row[table["columns"].index(_own(call))]) for row in table["rows"]}, asking)


def _are_members(segment: str, wanted: set[str], asking: Asking) -> Callable[[Ask], bool]:
    def holds(ask: Ask) -> bool:
        return {row[0].removeprefix(f"{asking.domain}-") for row in ask("segment_members", segment=segment)} == wanted

    return holds


def _metrics(call: dict[str, Any], asking: Asking) -> Callable[[Ask], bool]:
    """Of which paths something holds, by column: each a segment."""
    conditions: list[dict[str, Any]] = []
    for asked in call["args"][0]:
        metric, given = asked["metric"], asked["metric_args"]
        if metric == "event_count":
            raise UnexpressedError("get_metrics: how often a path has an event")
        if metric == "has_event_bulk":
            conditions += [{"metric": "has_event", "metric_args": {"event": event}} for event in given["events"]]
        elif metric == "in_segment_bulk":
            name, mode = given["segment_name"], given.get("mode", "any")
            levels = [
                re.fullmatch(f"in_segment_bulk_{name}_(.+)_{mode}", column) for column in call["output"]["columns"]
            ]
            conditions += [
                {"metric": "in_segment", "metric_args": {**given, "mode": mode, "segment_level": level[1]}}
                for level in levels
                if level
            ]
        else:
            conditions.append(asked)
    table = call["output"]
    checks = [
        _are_members(
            asking.segment(_clause({"op": "=", "value": True, **condition}, asking)),
            {str(user) for user, values in zip(table["index"], table["data"], strict=True) if values[place]}, asking,
        )
        for place, condition in enumerate(conditions)
    ]  # fmt: skip
    assert len(checks) == len(table["columns"])
    return lambda ask: all(check(ask) for check in checks)


def _clause(condition: dict[str, Any], asking: Asking) -> dict[str, Any]:
    """A condition on a path as a clause."""
    if condition["op"] in {"and", "or", "not"}:
        name = {"and": "all_of", "or": "any_of", "not": "none_of"}[condition["op"]]
        return {name: [_clause(part, asking) for part in condition["args"]]}
    metric, asked = condition["metric"], condition.get("metric_args", {})
    values = condition["value"] if condition["op"] == "in" else [condition["value"]]
    page = f"properties.{asked['event_col']}" if "event_col" in asked else "page_code"

    def did(**where: Any) -> dict[str, Any]:
        return {"did": asking.page(where)}

    if metric in {"event_count", "length"}:
        where = {page: asked["event"]} if metric == "event_count" else {}
        least = condition["op"] == ">"
        return {"any_of": [did(**where) | {"times": {"gte": n + 1} if least else {"eq": n}} for n in values]}
    if metric in {"has_event", "has_all_events", "has_any_event"}:
        pages = asked.get("events") or [asked["event"]]
        clause = {"any_of" if metric == "has_any_event" else "all_of": [did(**{page: name}) for name in pages]}
        return clause if values == [True] else {"none_of": [clause]}
    if metric == "in_segment" and asked["mode"] in {"any", "all"}:
        level = f"properties.{asked['segment_name']}"
        others = [{"none_of": [did(**{level: {"ne": asked["segment_level"]}})]}] if asked["mode"] == "all" else []
        return {"all_of": [did(**{level: asked["segment_level"]}), *others]}
    if metric == "matches_pattern":
        return _pattern(asked["pattern"], asking, page)
    raise UnexpressedError("on how many days, or of which share of a path something holds")


def _pattern(pattern: str, asking: Asking, page: str = "page_code") -> dict[str, Any]:
    """A way: pages that follow each other, of which the last may end the path; or a funnel, where what a step or what
    lies between two of them is one of several pages, or none of them."""
    pattern = pattern.removeprefix("path_start->.*->").removesuffix("->.*->path_end")
    parts = pattern.split("->")
    begins, ends = parts[0] == START, parts[-1] == END
    parts = parts[begins : len(parts) - ends]
    gaps = [part for part in parts if part.endswith("*")]
    steps = [part for part in parts if not part.endswith("*")]
    if gaps and len(gaps) != len(steps) - 1:
        raise UnexpressedError("a pattern with gaps and neighbours")
    if {*gaps} <= {".*"} and page == "page_code" and not any(step.startswith("[") for step in steps):
        at_step = {"at_step": 1} if begins else {}
        return {"path": {"through": steps, "directly": not gaps, "ends": ends, **at_step}}
    if begins or ends:
        raise UnexpressedError("a pattern of several pages that begins or ends the path")
    if len(steps) == 1:
        return {"did": asking.page({page: _one_of(steps[0])})}
    exclusions = [
        {**asking.page({page: _one_of(gap[:-1], steps[place], but=True)}), "from_step": place, "to_step": place + 1}
        for place, gap in enumerate(gaps, start=1)
        if gap != ".*"
    ]
    order = {"order": "ordered" if gaps else "strict", "entry": "best", "exclusions": exclusions}
    funnel = asking.funnel([{page: _one_of(step)} for step in steps], **order)
    return {"funnel": {"id": funnel, "step": len(steps)}}


def _one_of(part: str, also: str = "", *, but: bool = False) -> dict[str, Any]:
    """A page, one of several or none of them; `but`: what is not so, nor the page `also`."""
    none_of = part.startswith("[^")
    names = part.strip("[^]").split("|")
    if but:
        return {"in": names} if none_of else {"not_in": [*names, also]}
    return {"not_in" if none_of else "in": names}


EXPRESSIBLE: dict[str, Callable[[dict[str, Any], Asking], Callable[[Ask], bool]]] = {
    "transition_graph_data": _graph,
    "funnel_data": _funnel,
    "get_conversion_rate": _conversion,
    "step_matrix_data": _around,
    "step_sankey_data": _around,
    "filter_paths": _filtered,
    "get_metrics": _metrics,
    "truncate_paths": _truncated,
}


# ── all of them in one mart ──


Asked = dict[str, tuple[list[Question], Counter[str]]]


@pytest.fixture(scope="module")
def asked(shared_data: Path) -> Asked:
    """The questions by the table that shows why the others cannot be put."""
    nodes, calls = Counter[str](), Counter[str]()
    return {
        "clickhouse_next_node": (list(next_nodes(shared_data, nodes)), nodes),
        "retentioneering5": (list(retentioneering(shared_data, calls)), calls),
    }


def test_recorded_answers(asked: Asked, warehouse: Settings, tmp_path: Path) -> None:
    questions = [question for found, _ in asked.values() for question in found]
    for name, content in (
        ("sessions.yml", "sessions: {timeout: null, time_zone: UTC, collapse_repeats: false, path_depth: null}"),
        ("funnels.yml", json.dumps({"funnels": [each for question in questions for each in question.funnels]})),
        ("segments.yml", json.dumps({"segments": [each for question in questions for each in question.segments]})),
        ("cohorts.yml", "cohorts: []"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
    landing = tmp_path / "landing"
    (landing / "clickstream").mkdir(parents=True)
    (landing / "clickstream" / "all.ndjson").write_text("".join(
        json.dumps({
            "event_id": f"{question.domain}-{number}", "event_time": f"{at}Z".replace(" ", "T"), "page_code": page,
            "visitor_id": f"{question.domain}-{user}", "domain": question.domain, "user_agent": "Mozilla",
            "customer_id": f"{question.domain}-{user}" if question.groups or question.segments else None,
            "properties": known,
        }) + "\n"
        for question in questions for number, (at, user, page, known) in enumerate(question.events)
    ), encoding="utf-8")  # fmt: skip
    (landing / "customers").mkdir()
    (landing / "customers" / "all.ndjson").write_text("".join(
        json.dumps({
            "customer_id": f"{question.domain}-{user}", "effective_date": "2000-01-01",
            "attributes": {"side": f"{question.domain}-{name}"},
        }) + "\n"
        for question in questions for user, name in question.groups.items()
    ), encoding="utf-8")  # fmt: skip
    pipeline.run(warehouse, landing, definitions=tmp_path)
    with connect("jm_dashboard", settings=warehouse, autocommit=True) as connection:
        wrong = [question.domain for question in questions if not question.holds(_asking(connection, question.domain))]
    assert wrong == []


def _asking(connection: psycopg.Connection, domain: str) -> Ask:
    def ask(function: str, **arguments: Any) -> list[tuple[Any, ...]]:
        arguments |= {"domain": domain}
        named = ", ".join(f'"{name}" => %({name})s' for name in arguments)
        return connection.execute(f"select * from mart.{function}({named})", arguments).fetchall()  # noqa: S608

    return ask


SESSIONS = 2  # questions about where a session ends


@pytest.mark.parametrize("number", range(SESSIONS))
def test_recorded_sessions(shared_data: Path, warehouse: Settings, tmp_path: Path, number: int) -> None:
    recorded = json.loads((shared_data / "oracles" / "retentioneering5" / "recorded.json").read_text(encoding="utf-8"))
    calls = [call for test in recorded for call in test["calls"] if is_about_sessions(call)]
    assert len(calls) == SESSIONS
    call, timeout = calls[number], calls[number]["kwargs"]["timeout"]
    timeout = timeout if isinstance(timeout, str) else f"{timeout:.0f}s"
    (tmp_path / "sessions.yml").write_text(f"sessions: {{timeout: {timeout}, time_zone: UTC}}", encoding="utf-8")
    (tmp_path / "landing" / "clickstream").mkdir(parents=True)
    (tmp_path / "landing" / "clickstream" / "all.ndjson").write_text("".join(
        json.dumps({"event_id": f"e{place}", "event_time": f"{at}Z", "visitor_id": user, "page_code": page}) + "\n"
        for place, (at, user, page, _) in enumerate(_events(call))
    ), encoding="utf-8")  # fmt: skip
    pipeline.run(warehouse, tmp_path / "landing", definitions=tmp_path)
    with connect("jm_dashboard", settings=warehouse, autocommit=True) as connection:
        found = connection.execute(
            "select visitor_id, page_code, dense_rank() over (partition by visitor_id order by started_at)"
            " from mart.event order by event_at"
        ).fetchall()
    columns = [call["output"]["columns"].index(name) for name in ("user_id", "event", "session_index")]
    assert found == [tuple(row[column] for column in columns) for row in call["output"]["rows"]]


def test_the_tables_of_what_cannot_be_asked(asked: Asked) -> None:
    for name, (questions, reasons) in asked.items():
        check_table(name, len(questions) + (SESSIONS if name == "retentioneering5" else 0), reasons)
