"""Every detection rule agrees with its reference on hundreds of random logs: who, when, and on what evidence."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

from tests.oracle import rules
from tests.oracle.bank import Bank


def test_every_hit_is_one_of_the_reference(bank: Bank) -> None:
    found: dict[str, list[Any]] = defaultdict(list)
    for rule_id, *hit in bank.connection.execute(
        """
        select
            d.rule_id, coalesce(d.customer_id, d.visitor_id), d.detected_at, d.started_at,
            (select max(t.moment) from unnest(d.step_times) as t (moment)), d.is_censored, d.goal_at
        from mart.detection as d
        """
    ):
        found[rule_id].append(tuple(hit))
    total = 0
    for rule in bank.rules:
        wanted = [
            (hit.person, hit.detected_at, hit.started_at, hit.completed_at, hit.censored, hit.goal_at)
            for log in bank.events
            for hit in rules.hits(rule, log, bank.watermark)
        ]
        assert sorted(found[rule.id], key=str) == sorted(wanted, key=str), rule
        total += len(wanted)
    assert total > 500, "the rules find something"


def test_a_segment_of_hits_has_the_customers_of_the_reference(bank: Bank) -> None:
    defined = {rule.id: rule for rule in bank.rules}
    customers = {row[0] for row in bank.connection.execute("select distinct customer_id from mart.event")}
    units = {"h": "hours", "d": "days"}
    total = 0
    for segment_id, clause in ((name, clause) for name, clause in bank.cells.items() if "rule" in clause):
        within = clause.get("within", "9999d")
        since = bank.watermark - timedelta(**{units[within[-1]]: int(within[:-1])})
        rule = defined[clause["rule"]]
        times = Counter(
            hit.person
            for log in bank.events
            for hit in rules.hits(rule, log, bank.watermark)
            if hit.detected_at > since
        )
        wanted = {person for person, count in times.items() if count >= clause.get("times", {"gte": 1})["gte"]}
        members = {row[0] for row in bank.call("segment_members", None, segment=segment_id)}
        assert members == wanted & customers, (segment_id, clause, rule)
        total += len(members)
    assert total > 50, "the segments are empty"


def test_evidence_takes_the_steps(bank: Bank) -> None:
    """Each event fulfils its step, in the order of steps and time, as often as it must."""
    names = {("screen", "transaction")[e.rank][:1] + str(e.line): e for log in bank.events for e in log}
    definitions = {rule.id: [step for _, step in rule.taken] for rule in bank.rules}
    for rule_id, evidence, step_times in bank.connection.execute(
        "select rule_id, evidence, step_times from mart.detection"
    ):
        steps = definitions[rule_id]
        events = [(item["step"], names[item["source"][:1] + item["id"][1:]]) for item in evidence]
        assert events == sorted(events, key=lambda pair: (pair[1].at, pair[1].rank, pair[1].line))
        assert [number for number, _ in events] == sorted(number for number, _ in events)
        for number, step in enumerate(steps, start=1):
            times = [event.at for of, event in events if of == number]
            assert all(event.fulfils(step.condition) for of, event in events if of == number)
            assert step.times.gte <= len(times) <= (step.times.lte or step.times.gte) or (step.optional and not times)
            assert step_times[number - 1] == (times[-1] if times else None)


def test_the_funnel_of_a_rule_knows_the_same_people(bank: Bank) -> None:
    """A funnel takes each step at the first chance, so only where a step has limits of its own may a rule find more."""
    hit: dict[str, set[int]] = defaultdict(set)
    converted: dict[str, set[int]] = defaultdict(set)
    for people, query in (
        (hit, "select rule_id, subject_key from mart.detection"),
        (converted, "select funnel_id, subject_key from mart.funnel_entry where status = 'converted'"),
    ):
        for rule_id, subject_key in bank.connection.execute(query):
            people[rule_id].add(subject_key)
    equal = 0
    for rule in bank.rules:
        if rule.absence or rule.dwell or rule.session_end or any(s.times.lte or s.new_device for s in rule.steps):
            continue
        if any(step.within for step in rule.steps) or any(step.not_ for step in rule.steps):
            assert converted[rule.id] <= hit[rule.id] or any(s.within and s.times.gte > 1 for s in rule.steps), rule
        else:
            assert converted[rule.id] == hit[rule.id], rule
            equal += 1
    assert equal, "no rule drawn in this batch means the same as a funnel"
    [(steps, detected)] = bank.connection.execute(
        "select count(*), sum(detected) from mart.detection_step where step_no = 1"
    ).fetchall()
    assert steps > 0
    assert detected > 0
