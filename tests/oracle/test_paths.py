"""Every path analysis agrees with its reference on hundreds of random logs, and its columns add up."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from tests.oracle import logs, paths
from tests.oracle.bank import Bank
from tests.oracle.logs import Session

WITHIN = (timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=2), timedelta(days=1))
KINDS = {"page": logs.PAGES, "transaction": logs.TRANSACTIONS, "error": ("X1", "X2", "A")}


def filters(chance: random.Random) -> dict[str, str]:
    values = {"channel": "app", "domain": "two", "device_type": "desktop"}
    return {name: value for name, value in values.items() if chance.random() < 0.3}


def edges(rows: list[tuple[Any, ...]]) -> dict[paths.Edge, int]:
    return {row[:3]: row[3] for row in rows}


def sums(found: dict[paths.Edge, int]) -> dict[int, int]:
    result: Counter[int] = Counter()
    for (step, _, _), sessions in found.items():
        result[step] += sessions
    return dict(result)


def test_sessions_are_those_of_the_reference(bank: Bank) -> None:
    found = bank.connection.execute(
        "select visitor_id, customer_id, channel, domain, session_date, started_at, ended_at, path_length"
        " from mart.session order by session_date, started_at, visitor_id"
    ).fetchall()
    assert found == [
        (s.visitor, s.customer, s.channel, s.domain, s.date, s.started_at, s.ended_at, len(s.nodes))
        for log in bank.sessions
        for s in log
    ]


def test_main(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        depth, top_k, scope = chance.choice([1, 3, 5, 12]), chance.choice([None, 1, 2]), filters(chance)
        found = edges(bank.call("paths_main", number, depth=depth, top_k=top_k, **scope))
        wanted = paths.chosen(sessions, **scope)
        assert found == paths.main(wanted, depth, top_k), (number, depth, top_k, scope)
        assert set(sums(found).values()) <= {len(wanted)}


def test_main_of_all_logs(bank: Bank) -> None:
    sessions = [session for log in bank.sessions for session in log]
    for depth, top_k in ((5, 3), (10, None), (12, 2)):
        rows = bank.call("paths_main", None, depth=depth, top_k=top_k)
        assert edges(rows) == paths.main(sessions, depth, top_k)
        assert [row[4] for row in rows] == pytest.approx([row[3] / len(sessions) for row in rows])
    # whole months are kept as such, the days around them by day
    for first, last in ((9, 130), (0, 250), (40, 45), (1, 31)):
        scope = {"from_date": logs.date_of(first), "to_date": logs.date_of(last)}
        within = [s for s in sessions if scope["from_date"] <= s.date <= scope["to_date"]]
        assert edges(bank.call("paths_main", None, depth=4, **scope)) == paths.main(within, 4, None), (first, last)


def some_scope(chance: random.Random) -> tuple[dict[str, Any], dict[str, str]]:
    """Dates over many logs, and other filters."""
    first, last = chance.choice([(0, 250), (40, 45), (1, 31)])
    return {"from_date": logs.date_of(first), "to_date": logs.date_of(last)}, filters(chance)


def within(bank: Bank, dates: dict[str, Any], scope: dict[str, str]) -> list[Session]:
    sessions = [s for log in bank.sessions for s in log if dates["from_date"] <= s.date <= dates["to_date"]]
    return paths.chosen(sessions, **scope)


def test_top(bank: Bank) -> None:
    chance = random.Random(bank.number)
    for top_k in (1, 1, 3, 3, 3, 10_000, 10_000, 10_000):
        dates, scope = some_scope(chance)
        wanted = Counter(tuple(session.nodes[:10]) for session in within(bank, dates, scope))
        rows = bank.call("paths_top", None, top_k=top_k, **dates, **scope)
        named = {tuple(nodes): sessions for nodes, sessions in rows if nodes}
        assert sorted(named.values()) == sorted(sessions for _, sessions in wanted.most_common(top_k))
        assert named.items() <= wanted.items()
        others = [wanted.total() - sum(named.values())] if len(wanted) > top_k else []
        assert [sessions for nodes, sessions in rows if not nodes] == others


def test_moves(bank: Bank) -> None:
    chance = random.Random(bank.number)
    for top_k in (1, 3, 3, 3, 100, 100, 100, 100):
        dates, scope = some_scope(chance)
        wanted = Counter(
            move for session in within(bank, dates, scope) for move in pairwise(session.nodes) if len(set(move)) > 1
        )
        rows = bank.call("paths_moves", None, top_k=top_k, **dates, **scope)
        others = [(paths.OTHER, paths.OTHER, wanted.total() - sum(times for _, times in wanted.most_common(top_k)))]
        if len(wanted) > top_k:
            assert rows[top_k:] == others
            rows = rows[:top_k]
        assert [row[2] for row in rows] == [times for _, times in wanted.most_common(top_k)]
        assert {row[:2]: row[2] for row in rows}.items() <= wanted.items()


def test_around(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        kind = chance.choice([*KINDS])
        node, before, after = chance.choice(KINDS[kind]), chance.choice([0, 1, 3]), chance.choice([0, 2, 12])
        occurrence, scope = chance.choice(["first", "last", "all"]), filters(chance)
        arguments: dict[str, Any] = {
            "node": node,
            "before": before,
            "after": after,
            "occurrence": occurrence,
            "kind": kind,
        }
        found = edges(bank.call("paths_around", number, **arguments, **scope))
        wanted = paths.chosen(sessions, **scope)
        assert found == paths.around(wanted, **arguments), (number, arguments, scope)
        assert len(set(sums(found).values())) <= 1, "every step adds up to the sessions at the node"


def test_around_of_all_logs(bank: Bank) -> None:
    """What is kept by month, and what is read from the sessions because the dates are no whole months."""
    chance = random.Random(bank.number)
    for first, last in ((0, 250), (0, 90), (31, 59), (31, 90), (17, 75), (1, 31)):
        kind, before, after = chance.choice([*KINDS]), chance.choice([1, 2]), chance.choice([0, 1, 2])
        arguments: dict[str, Any] = {"node": chance.choice(KINDS[kind]), "kind": kind, "before": before, "after": after}
        dates = {"from_date": logs.date_of(first), "to_date": logs.date_of(last)}
        scope = {"channel": "app"} if chance.random() < 0.5 else {}
        found = edges(bank.call("paths_around", None, **arguments, **dates, **scope))
        assert found == paths.around(within(bank, dates, scope), **arguments, occurrence="first"), (arguments, dates)
    found = edges(bank.call("paths_around", None, node="A"))
    assert found == paths.around([s for log in bank.sessions for s in log], "A", 2, 2, "first", "page")


def test_between(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        start, end, max_steps = chance.choice("ABT"), chance.choice("ACT"), chance.choice([None, 1, 4])
        scope = filters(chance)
        found = bank.call("paths_between", number, start=start, end=end, max_steps=max_steps, **scope)
        left = paths.chosen(sessions, **scope)
        wanted = paths.between(left, start, end, None, max_steps)
        assert sorted(found, key=str) == sorted(wanted, key=str), (number, start, end, max_steps, scope)
        assert sum(row[1] for row in found) == sum(start in session.nodes for session in left)


def test_around_and_between_of_persons(bank: Bank) -> None:
    """Across sessions, devices and what happens outside of both."""
    for number, sessions, chance in bank.cases():
        kind, occurrence, scope = chance.choice([*KINDS]), chance.choice(["first", "last", "all"]), filters(chance)
        within, events = chance.choice(WITHIN), bank.events[number]
        arguments: dict[str, Any] = {"node": chance.choice(KINDS[kind]), "kind": kind, "before": 2, "after": 3}
        found = edges(bank.call("paths_around", number, **arguments, occurrence=occurrence, within=within, **scope))
        wanted = list(paths.journeys(sessions, events, arguments["node"], kind, occurrence, within, scope))
        assert found == paths.around(wanted, "", 2, 3, "all", "error"), (number, arguments, occurrence, within, scope)

        start, end = chance.choice("BCD"), chance.choice("ACT")
        rows = bank.call("paths_between", number, start=start, end=end, within=within, **scope)
        wanted = list(paths.journeys(sessions, events, start, "page", "first", within, scope))
        onward = [paths.from_anchor(journey) for journey in wanted]
        assert sorted(rows, key=str) == sorted(paths.between(onward, start, end, None, None), key=str), (
            number, start, end, within, scope,
        )  # fmt: skip
        assert sum(row[1] for row in rows) == len({journey.visitor for journey in wanted})


def test_between_names_the_most_frequent_ways_and_keeps_the_rest(bank: Bank) -> None:
    *ways, away = bank.call("paths_between", None, start="A", end="C")
    *shown, gone = bank.call("paths_between", None, start="A", end="C", top_k=3)
    others = sum(row[1] for row in ways[3:])
    assert shown[:3] == ways[:3]
    assert [row[:2] for row in shown[3:]] == ([(paths.OTHER, others)] if others else [])
    assert gone == away


def test_steps(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        nodes = chance.choices("ABCT", k=chance.randrange(1, 5))
        scope = filters(chance)
        rows = bank.call("paths_steps", number, nodes=nodes, **scope)
        wanted = paths.steps(paths.chosen(sessions, **scope), nodes)
        assert [(row[0], row[1], row[3], row[6]) for row in rows] == wanted, (number, nodes, scope)


def test_steps_as_shares(bank: Bank) -> None:
    rows = bank.call("paths_steps", None, nodes=["A", "B", "C"])
    reached = [row[3] for row in rows]
    assert [row[4] for row in rows] == [None, reached[1] / reached[0], reached[2] / reached[1]]
    assert [row[5] for row in rows] == [count / reached[0] for count in reached]


def test_next(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        kind = chance.choice(["page", "transaction"])
        node, scope = chance.choice(KINDS[kind]), filters(chance)
        rows = bank.call("paths_next", number, node=node, kind=kind, **scope)
        wanted = paths.following(paths.chosen(sessions, **scope), node, kind)
        counts = {to: count for to, (count, _) in wanted.items()}
        assert {row[0]: row[1] for row in rows} == counts, (number, node, kind, scope)
        seconds = {to: stayed for to, (_, stayed) in wanted.items()}
        assert {row[0]: row[3] for row in rows} == pytest.approx(seconds, abs=1e-9), (number, node, kind, scope)
        visits = sum(count for count, _ in wanted.values())
        assert all(row[2] == row[1] / visits for row in rows)


def test_to_error(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        error, steps, least = chance.choice(KINDS["error"]), chance.choice([0, 1, 2, 5]), chance.choice([1, 2, 3])
        scope = filters(chance)
        rows = bank.call("paths_to_error", number, error=error, steps=steps, least_sessions=least, top_k=None, **scope)
        wanted = paths.to_error(paths.chosen(sessions, **scope), error, steps, least)
        found: list[Any] = [(row[0], row[1], row[3], pytest.approx(row[6])) for row in rows]
        assert sorted(wanted, key=lambda row: row[:3]) == sorted(found, key=lambda row: row[:3]), (number, error, scope)
        assert not rows or sum(row[2] for row in rows) == pytest.approx(1)
        assert all(row[5] == row[1] / row[3] for row in rows)


def test_to_error_names_the_highest_lift_and_keeps_the_rest(bank: Bank) -> None:
    rows = bank.call("paths_to_error", None, error="X1", least_sessions=3, top_k=None)
    lifts = [row[6] for row in rows if row[0] != paths.OTHER]
    assert lifts == sorted(lifts, reverse=True)
    *shown, rest = bank.call("paths_to_error", None, error="X1", least_sessions=3, top_k=4)
    assert shown == rows[:4]
    assert (rest[0], rest[1]) == (paths.OTHER, sum(row[1] for row in rows[4:]))


def test_after_error(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        scope = filters(chance)
        wanted = paths.after_error(paths.chosen(sessions, **scope))
        rows = bank.call("paths_after_error", number, least_visits=1, top_k=None, **scope)
        assert {row[:2]: (*row[2:4], *row[5:7]) for row in rows} == wanted, (number, scope)


def test_after_error_names_the_surest_and_keeps_the_rest(bank: Bank) -> None:
    wanted = paths.after_error([session for log in bank.sessions for session in log])
    rows = bank.call("paths_after_error", None, least_visits=1, top_k=None)
    assert {row[:2]: (*row[2:4], *row[5:7]) for row in rows} == wanted
    assert [row[4] for row in rows] == [row[3] / row[2] for row in rows]
    assert [row[8] for row in rows] == pytest.approx([row[3] / row[2] - row[6] / row[5] for row in rows])
    assert [row[11] for row in rows] == pytest.approx([row[2] * row[8] for row in rows])
    at_least = [row[2] * row[9] for row in rows]
    assert at_least == sorted(at_least, reverse=True)
    *shown, rest = bank.call("paths_after_error", None, least_visits=1, top_k=2)
    assert shown == rows[:2]
    assert rest[:4] == (paths.OTHER, paths.OTHER, sum(row[2] for row in rows[2:]), sum(row[3] for row in rows[2:]))
    most = max(row[2] for row in rows)
    named = bank.call("paths_after_error", None, least_visits=most, top_k=None)
    assert [row for row in named if row[0] != paths.OTHER] == [row for row in rows if row[2] == most]


def test_people_are_those_of_the_cell(bank: Bank) -> None:
    for number, sessions, chance in bank.cases():
        scope = filters(chance)
        top_k = chance.choice([None, 1, 2])
        cells = paths.main(paths.chosen(sessions, **scope), 4, top_k)
        if not cells:
            continue
        (step, source, target), size = chance.choice(sorted(cells.items()))
        rows = bank.call("paths_people", number, step=step, from_node=source, to_node=target, top_k=top_k, **scope)
        assert len({row[0] for row in rows}) == len(rows) == size, (number, step, source, target, scope)
        assert {row[1] for row in rows} <= {session.visitor for session in sessions}

        node, occurrence = chance.choice("ABC"), chance.choice(["first", "last"])
        cells = paths.around(sessions, node, 2, 2, occurrence, "page")
        if cells:
            (step, source, target), size = chance.choice(sorted(cells.items()))
            rows = bank.call(
                "paths_people", number, step=step, from_node=source, to_node=target, node=node, occurrence=occurrence
            )
            assert len(rows) == size, (number, node, occurrence, step, source, target)


def test_comparison_with_itself_shows_no_difference(bank: Bank) -> None:
    rows = bank.call("paths_compare", None, segment_a=None, segment_b=None, depth=2)
    total = sum(len(log) for log in bank.sessions)
    assert {row[7] for row in rows} == {0.0}
    assert sum(row[5] for row in rows if row[0] == 1) == pytest.approx(1)
    assert all(row[8] < 0 < row[9] for row in rows)
    assert max(row[9] for row in rows) < 2 / total**0.5
    rows = bank.call("paths_compare", None, segment_a=None, segment_b=None, depth=2, device_type="mobile")
    mobile = sum(session.device_type == "mobile" for log in bank.sessions for session in log)
    assert sum(row[3] for row in rows if row[0] == 1) == mobile


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("paths_main", {"depth": 0}, "depth must be between 1 and 100, not 0"),
        ("paths_main", {"top_k": 0}, "top_k must be at least 1, not 0"),
        ("paths_around", {"node": "A' or true --"}, "no page has the code 'A'' or true --'"),
        ("paths_around", {"node": "A", "kind": "colour"}, "kind must be page, error or transaction, not colour"),
        ("paths_around", {"node": "A", "before": -1}, "before must be between 0 and 100, not -1"),
        ("paths_around", {"node": "A", "occurrence": "second"}, "occurrence must be first, last or all, not second"),
        (
            "paths_around",
            {"node": "A", "within": timedelta(0)},
            "within must be longer than nothing and at most 366 days, not 00:00:00",
        ),
        ("paths_between", {"start": "A", "end": "nowhere"}, "no page or transaction has the code 'nowhere'"),
        (
            "paths_people",
            {"step": 1, "to_node": "기타"},
            "기타 is what mart.paths_main does not name: give the top_k it was asked with, and no node",
        ),
        ("paths_people", {"step": 0}, "the steps of main paths begin with 1: step 0 is of a node"),
        ("paths_to_error", {"error": "A' or true --"}, "no error has the code or page 'A'' or true --'"),
        ("paths_after_error", {"top_k": 0}, "top_k must be at least 1, not 0"),
        ("paths_steps", {"nodes": []}, "nodes must be 1 to 32 pages or transactions"),
    ],
)
def test_wrong_arguments_are_refused(bank: Bank, function: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(psycopg.DataError) as refused:
        bank.call(function, None, **arguments)
    assert refused.value.diag.message_primary == message
