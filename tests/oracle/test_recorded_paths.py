"""Path questions of ClickHouse's and retentioneering's own tests: all that our analyses can put get their answer.

There every event is a step and a path is all that one user does; so says sessions.yml here. Each question has a domain
of its own, by which it is asked. docs/semantics.md says why the others cannot be put.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.oracle.paths import ENTRY, EXIT
from tests.oracle.recorded import check_table

from journeymart import pipeline
from journeymart.db import connect
from journeymart.settings import Settings

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

START, END = "path_start", "path_end"
PREPARING = "prepares the log or describes it: no question"
Ask = Callable[..., list[tuple[Any, ...]]]


@dataclass
class Question:
    """The events that one question is about, and whether our answer is the recorded one."""

    domain: str
    events: Iterable[tuple[str, str, str]]  # time, user, page
    holds: Callable[[Ask], bool]
    funnel: dict[str, Any] | None = field(default=None)
    groups: dict[str, str] = field(default_factory=dict)  # user → the side of a comparison
    segment: dict[str, Any] | None = None


class UnexpressedError(Exception):
    """Why a question cannot be put."""


# ── ClickHouse: sequenceNextNode ──


def next_nodes(shared_data: Path, reasons: Counter[str]) -> Iterator[Question]:
    """What follows (or precedes) a chain of events that begins at the first, the last or the first matching event."""
    cases = json.loads((shared_data / "oracles" / "clickhouse" / "next_node_cases.json").read_text(encoding="utf-8"))
    for case in cases:
        chain = [condition.split("'")[1] for condition in case["chain"]]
        for user, answer in case["expected"].items():
            events = [(e["dt"], e["id"], e["action"]) for e in case["events"] if e["id"] == user]
            if any(page is None for _, _, page in events):
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
            if express is None and call["method"] != "filter_paths":
                raise UnexpressedError(f"{call['method']}: {PREPARING}")
            if "raises" in call:
                raise UnexpressedError("is refused there: an argument that ours do not have")
            if express is None:
                yield _filtered(call, f"rt{number}")
                continue
            for name, reason in REFUSED.items():
                if name in call["kwargs"]:
                    raise UnexpressedError(reason)
            groups = _groups(call) if "diff" in call["kwargs"] else {}
            holds, funnel = express(call, f"rt{number}")
            yield Question(f"rt{number}", _events(call), holds, funnel, groups)
        except UnexpressedError as reason:
            reasons[str(reason)] += 1


def is_about_sessions(call: dict[str, Any]) -> bool:
    """Where a silence ends a session: asked in a mart of its own, for sessions.yml decides it for all."""
    return call["method"] == "split_sessions" and "timeout" in call["kwargs"] and "raises" not in call


REFUSED = {"path_pattern": "only paths of a pattern"}


def _events(call: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    rows = [dict(zip(call["input"]["columns"], row, strict=True)) for row in call["input"]["rows"]]
    own = call["schema"].split("path_cols=['")[1].split("'")[0]
    for row in rows:
        if row["event"] not in {START, END}:
            yield row["timestamp"], str(row[call["kwargs"].get("path_col", own)]), row["event"]


def _groups(call: dict[str, Any]) -> dict[str, str]:
    """The sides of a comparison: two lists of users, or two values of a column, where <REST> is all others."""
    rows = [dict(zip(call["input"]["columns"], row, strict=True)) for row in call["input"]["rows"]]
    own = call["kwargs"].get("path_col", call["schema"].split("path_cols=['")[1].split("'")[0])
    diff = call["kwargs"]["diff"]
    if isinstance(diff[0], list):
        return {user: side for side, users in zip("ab", diff, strict=True) for user in users}
    column, a, b = diff
    sides = {str(row[own]): row[column] for row in rows}
    return {user: "a" if value == a else "b" for user, value in sides.items() if value in {a, b} or b == "<REST>"}


def side(domain: str, name: str) -> str:
    """The segment of one side of a comparison."""
    return f"SG-{domain.upper()}-{name.upper()}"


def _graph(call: dict[str, Any], domain: str) -> tuple[Callable[[Ask], bool], None]:
    weight = call["kwargs"].get("edge_weight", "proba_out")
    if "diff" in call["kwargs"]:
        return _graph_difference(call, domain), None
    if weight in {"share_of_total", "avg_per_path", "proba_in"}:
        return _graph_quotients(call, weight), None
    if weight == "time_median":
        return _graph_times(call), None
    if weight not in {"count", "proba_out"}:
        raise UnexpressedError("how many paths have an edge at least once; here how often")
    wanted = {edge: value for edge, value in _cells(call["output"]).items() if weight == "count" or edge[0] != START}

    def holds(ask: Ask) -> bool:
        found = _edges(ask)
        if weight == "count":
            return found == wanted
        shares = {
            (source, END if row[0] == EXIT else row[0]): row[2]
            for source in {source for source, _ in found} - {START}
            for row in ask("paths_next", node=source)
        }
        return shares == {edge: pytest.approx(value, abs=1e-9) for edge, value in wanted.items()}

    return holds, None


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


def _graph_difference(call: dict[str, Any], domain: str) -> Callable[[Ask], bool]:
    differences, *_ = call["output"]

    def holds(ask: Ask) -> bool:
        a, b = (_edges(ask, segment=side(domain, name)) for name in "ab")
        found = {edge: a[edge] - b[edge] for edge in a | b if a[edge] != b[edge]}
        return found == _cells(differences) != {}

    return holds


def _difference(call: dict[str, Any], domain: str) -> tuple[Callable[[Ask], bool], None]:
    """The difference of the shares of two segments that are at a page at a step."""
    differences, *_ = call["output"]
    wanted = {(name, step): value for (name, step), value in _cells(differences).items() if name not in {START, END}}
    steps = call["kwargs"]["max_steps"]

    def holds(ask: Ask) -> bool:
        found: dict[tuple[str, Any], float] = defaultdict(float)
        for row in ask("paths_compare", segment_a=side(domain, "a"), segment_b=side(domain, "b"), depth=steps):
            if row[1] != EXIT:
                found[row[1], row[0]] += row[7]
        return {key: pytest.approx(value) for key, value in found.items() if abs(value) > 1e-9} == wanted != {}

    return holds, None


def _funnel(call: dict[str, Any], _domain: str) -> tuple[Callable[[Ask], bool], None]:
    wanted = [step["unique_paths"] for step in call["output"]["steps"]]
    nodes = call["kwargs"]["steps"]
    return lambda ask: [row[3] for row in ask("paths_steps", nodes=nodes)] == wanted, None


def _conversion(call: dict[str, Any], domain: str) -> tuple[Callable[[Ask], bool], dict[str, Any] | None]:
    start, end = call["args"]
    if not isinstance(start, str) or {"->", END} & {*str(start + end).replace("->", " -> ").split(), end}:
        raise UnexpressedError("from or to a pattern, a last occurrence or the end of the path")
    wanted = call["output"]["data"][0][2:4]
    within = call["kwargs"].get("within")
    if within is None or isinstance(within, int):

        def between(ask: Ask) -> bool:
            rows = ask("paths_between", start=start, end=end, max_steps=within)
            return [sum(row[1] for row in rows), sum(row[1] for row in rows if row[0] != EXIT)] == wanted

        return between, None
    steps = [{"name": n, "source": "screen", "where": {"page_code": n, "domain": domain}} for n in (start, end)]
    window = within if isinstance(within, str) else f"{within:.0f}s"
    funnel = {
        "id": f"FN-{domain.upper()}", "label": {"ko": "시험", "en": "Test"}, "owner": "tests", "window": window,
        "entry": "first", "count_by": "visitor", "steps": steps,
    }  # fmt: skip
    return lambda ask: [row[3] for row in ask("funnel", funnel_id=funnel["id"])] == wanted, funnel


def _around(call: dict[str, Any], domain: str) -> tuple[Callable[[Ask], bool], None]:
    if "diff" in call["kwargs"]:
        return _difference(call, domain)
    anchor = call["kwargs"]["anchor"]
    anchor = {"pattern": anchor} if isinstance(anchor, str) else anchor
    if anchor.keys() - {"pattern", "occurrence"}:
        raise UnexpressedError("so many steps or so much time beside the event")
    [table] = call["output"]
    steps = call["kwargs"]["max_steps"]
    wanted = {
        (name, step): share
        for name, row in zip(table["index"], table["data"], strict=True)
        for step, share in zip(table["columns"], row, strict=True)
        if share and name != END  # which they show once, at the first step outside
    }

    def holds(ask: Ask) -> bool:
        rows = ask(
            "paths_around", node=anchor["pattern"], before=steps, after=steps,
            occurrence=anchor.get("occurrence", "first"),
        )  # fmt: skip
        total = sum(row[3] for row in rows if row[0] == 0)
        found: Counter[tuple[str, int]] = Counter()
        for step, source, target, sessions in rows:
            if step == -steps:
                found[START if source == ENTRY else source, step] += sessions
            if target != EXIT:
                found[START if target == ENTRY else target, step + 1] += sessions
        return {key: sessions / total for key, sessions in found.items()} == wanted

    return holds, None


def _filtered(call: dict[str, Any], domain: str) -> Question:
    """The paths that fulfil a condition: a segment, for a path is a customer here."""
    given = call["args"][0] if call.get("args") else call["kwargs"]["condition"]
    conditions = given if isinstance(given, list) else [given]
    segment = {
        "id": f"SG-{domain.upper()}", "label": {"ko": "시험", "en": "Test"}, "owner": "tests",
        "all_of": [_clause(condition, domain) for condition in conditions],
    }  # fmt: skip
    own = call["kwargs"].get("path_col", call["schema"].split("path_cols=['")[1].split("'")[0])
    table = call["output"]
    wanted = {str(row[table["columns"].index(own)]) for row in table["rows"]}

    def holds(ask: Ask) -> bool:
        return {row[0].removeprefix(f"{domain}-") for row in ask("segment_members", segment=segment["id"])} == wanted

    return Question(domain, _events(call), holds, segment=segment)


def _clause(condition: dict[str, Any], domain: str) -> dict[str, Any]:
    """A condition on a path as a clause."""
    if condition["op"] in {"and", "or", "not"}:
        name = {"and": "all_of", "or": "any_of", "not": "none_of"}[condition["op"]]
        return {name: [_clause(part, domain) for part in condition["args"]]}
    metric, asked = condition["metric"], condition.get("metric_args", {})
    values = condition["value"] if condition["op"] == "in" else [condition["value"]]

    def did(**where: Any) -> dict[str, Any]:
        return {"did": {"source": "screen", "where": {"domain": domain, **where}}}

    if metric in {"event_count", "length"}:
        page = {"page_code": asked["event"]} if metric == "event_count" else {}
        least = condition["op"] == ">"
        return {"any_of": [did(**page) | {"times": {"gte": n + 1} if least else {"eq": n}} for n in values]}
    if metric in {"has_event", "has_all_events", "has_any_event"}:
        pages = asked.get("events") or [asked["event"]]
        clause = {"any_of" if metric == "has_any_event" else "all_of": [did(page_code=page) for page in pages]}
        return clause if values == [True] else {"none_of": [clause]}
    if metric == "matches_pattern":
        return _pattern(asked["pattern"])
    raise UnexpressedError("on how many days, or of which share of a path something holds")


def _pattern(pattern: str) -> dict[str, Any]:
    """A way: pages that follow each other, of which the last may end the path."""
    parts = pattern.removeprefix("path_start->.*->").split("->")
    ends = parts[-1] == END
    pages = parts[:-1] if ends else parts
    if {START, ".*"} & {*pages}:
        raise UnexpressedError("a pattern with gaps and neighbours")
    return {"path": {"through": pages, "directly": True, "ends": ends}}


EXPRESSIBLE: dict[str, Callable[[dict[str, Any], str], tuple[Callable[[Ask], bool], dict[str, Any] | None]]] = {
    "transition_graph_data": _graph,
    "funnel_data": _funnel,
    "get_conversion_rate": _conversion,
    "step_matrix_data": _around,
    "step_sankey_data": _around,
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


def segments_of(question: Question) -> Iterator[dict[str, Any]]:
    """The segments that a question is about: the one that answers it, or the two sides of a comparison."""
    if question.segment:
        yield question.segment
    for name in "ab" if question.groups else "":
        sided = {"customer": {"attributes.side": f"{question.domain}-{name}"}}
        label = {"ko": "시험", "en": "Test"}
        yield {"id": side(question.domain, name), "label": label, "owner": "tests", "all_of": [sided]}


def test_recorded_answers(asked: Asked, new_warehouse: Callable[[], Settings], tmp_path: Path) -> None:
    questions = [question for found, _ in asked.values() for question in found]
    for name, content in (
        ("sessions.yml", "sessions: {timeout: null, time_zone: UTC, collapse_repeats: false, path_depth: null}"),
        ("funnels.yml", json.dumps({"funnels": [question.funnel for question in questions if question.funnel]})),
        ("segments.yml", json.dumps({"segments": [each for question in questions for each in segments_of(question)]})),
        ("cohorts.yml", "cohorts: []"),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8")
    landing = tmp_path / "landing"
    (landing / "clickstream").mkdir(parents=True)
    (landing / "clickstream" / "all.ndjson").write_text("".join(
        json.dumps({
            "event_id": f"{question.domain}-{number}", "event_time": f"{at}Z".replace(" ", "T"), "page_code": page,
            "visitor_id": f"{question.domain}-{user}", "domain": question.domain, "user_agent": "Mozilla",
            "customer_id": f"{question.domain}-{user}" if question.groups or question.segment else None,
        }) + "\n"
        for question in questions for number, (at, user, page) in enumerate(question.events)
    ), encoding="utf-8")  # fmt: skip
    (landing / "customers").mkdir()
    (landing / "customers" / "all.ndjson").write_text("".join(
        json.dumps({
            "customer_id": f"{question.domain}-{user}", "effective_date": "2000-01-01",
            "attributes": {"side": f"{question.domain}-{name}"},
        }) + "\n"
        for question in questions for user, name in question.groups.items()
    ), encoding="utf-8")  # fmt: skip
    warehouse = new_warehouse()
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
def test_recorded_sessions(
    shared_data: Path, new_warehouse: Callable[[], Settings], tmp_path: Path, number: int
) -> None:
    recorded = json.loads((shared_data / "oracles" / "retentioneering5" / "recorded.json").read_text(encoding="utf-8"))
    calls = [call for test in recorded for call in test["calls"] if is_about_sessions(call)]
    assert len(calls) == SESSIONS
    call, timeout = calls[number], calls[number]["kwargs"]["timeout"]
    timeout = timeout if isinstance(timeout, str) else f"{timeout:.0f}s"
    (tmp_path / "sessions.yml").write_text(f"sessions: {{timeout: {timeout}, time_zone: UTC}}", encoding="utf-8")
    (tmp_path / "landing" / "clickstream").mkdir(parents=True)
    (tmp_path / "landing" / "clickstream" / "all.ndjson").write_text("".join(
        json.dumps({"event_id": f"e{place}", "event_time": f"{at}Z", "visitor_id": user, "page_code": page}) + "\n"
        for place, (at, user, page) in enumerate(_events(call))
    ), encoding="utf-8")  # fmt: skip
    warehouse = new_warehouse()
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
