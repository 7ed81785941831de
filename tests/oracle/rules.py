"""Detection rules in plain Python, as docs/semantics.md words them: every choice of events is tried."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.oracle.funnels import Event, of_node
from tests.oracle.logs import EXIT, GAP, PAGES, TRANSACTIONS

from journeymart.definitions.conditions import Condition
from journeymart.definitions.loader import DefinitionError, Document
from journeymart.definitions.rules import Rule, RuleStep, parse_rules

Place = tuple[datetime, int, int]  # in the total order of events


@dataclass(frozen=True)
class Hit:
    """A row of mart.detection."""

    person: str
    detected_at: datetime
    started_at: datetime
    completed_at: datetime
    censored: bool
    goal_at: datetime | None


@dataclass(frozen=True)
class Chosen:
    """Events chosen so far, as places in a history: the first, the last, and what later choices depend on."""

    start: int
    last: int
    done: int  # the last event of the last step that is not optional
    counted: tuple[int, int, int] | None = (
        None  # number of a step with lte, since when it counts, how often it happened
    )


def hits(rule: Rule, log: list[Event], watermark: datetime) -> list[Hit]:
    """What the rule reports of a log."""
    reported = []
    for person in sorted({event.person for event in log}):
        own = [event for event in log if event.person == person]
        found: list[tuple[Place, Event, Event, bool]] = []
        channels: list[str | None] = [*sorted({event.channel for event in own})] if rule.hold else [None]
        for channel in channels:
            history = [event for event in own if channel is None or event.channel == channel]
            found += _matches(rule, history, own, log, watermark)
        last: datetime | None = None
        for fired, first, completing, censored in sorted(found, key=lambda m: (m[0][0], _order(m[2]))):
            if rule.cooldown is not None and last is not None and fired[0] - last < rule.cooldown:
                continue
            last = fired[0]
            reported.append(Hit(person, fired[0], first.at, completing.at, censored, _goal(rule, own, fired)))
    return reported


def _goal(rule: Rule, own: list[Event], fired: Place) -> datetime | None:
    if rule.goal is None:
        return None
    latest = fired[0] + rule.goal.within
    reached = [e.at for e in own if e.fulfils(rule.goal) and _order(e) > fired and e.at <= latest]
    return min(reached, default=None)


def _order(event: Event) -> Place:
    return event.at, event.rank, event.line


def _after_all(moment: datetime) -> Place:
    """After all events of a moment."""
    return moment, 99, 0


def _is(step: RuleStep, event: Event, own: list[Event]) -> bool:
    """Whether an event can be a step, by itself and by what the person did before."""
    if not step.new_device or not event.fulfils(step.condition):
        return event.fulfils(step.condition)
    before = [other.visitor for other in own if _order(other) < _order(event) and other.fulfils(step.condition)]
    return bool(before) and event.visitor not in before


def _matches(
    rule: Rule, history: list[Event], own: list[Event], log: list[Event], watermark: datetime
) -> list[tuple[Place, Event, Event, bool]]:
    """The matches of one history, before the cooldown: detected at, first and completing event, censored."""
    found = []
    starts: dict[int, set[int]] = {}
    pattern = _of_pattern(rule, history, own)
    for start, end in choices(rule, pattern, own):
        starts.setdefault(end, set()).add(start)
    over_until: Place | None = None
    used = -1
    for end in sorted(starts):
        usable = [s for s in starts[end] if s > used and (over_until is None or _order(pattern[s]) > over_until)]
        if not usable:
            continue
        verdict, due, censored = _verdict(rule, pattern[end], history, log, watermark)
        if verdict == "open":
            break
        if verdict == "broken":
            continue
        found.append((due, pattern[max(usable)], pattern[end], censored))
        if rule.after_match == "next_row":
            used = max(usable)
        else:
            used, over_until = end, due
    return found


def _waits(rule: Rule) -> bool:
    return rule.absence is not None or rule.dwell is not None or rule.session_end


def _verdict(
    rule: Rule, completing: Event, history: list[Event], log: list[Event], watermark: datetime
) -> tuple[str, Place, bool]:
    """Whether a completed rule fires, when, and whether that is a guess."""
    if not _waits(rule):
        return "fires", _order(completing), False
    due, certain, censored = _order(completing), False, False
    if rule.dwell is not None or rule.session_end:
        if completing.session is None or completing.session_end is None:
            return "broken", due, False
        later = [e for e in log if e.rank == 0 and e.visitor == completing.visitor and _order(e) >= _order(completing)]
        if rule.dwell is not None:
            end = completing.at + rule.dwell.gte
            due = _after_all(end)
            until_then = [e for e in later if e.at < end]
            if any((e.code, e.channel) == EXIT or e.code != completing.code for e in until_then):
                return "broken", due, False
            # a session that began by then and went on until then, or longer
            certain = any(e.session[1] <= end <= e.session_end for e in later if e.session and e.session_end)
            censored = not certain
        else:
            exits = [_order(e) for e in later if e.session == completing.session and (e.code, e.channel) == EXIT]
            due, certain = (exits[0], True) if exits else (_after_all(completing.session_end + GAP), False)
    elif rule.absence is not None and rule.absence.within is not None:
        due = _after_all(completing.at + rule.absence.within)
    if rule.absence is not None:
        after = [e for e in history if _order(completing) < _order(e) <= due]
        if any(e.fulfils(rule.absence) for e in after):
            return "broken", due, False
    return ("fires" if certain or due[0] < watermark else "open"), due, censored


def _of_pattern(rule: Rule, history: list[Event], own: list[Event]) -> list[Event]:
    """What the steps and nots can be, or lies between strict steps."""
    sources = {step.source for _, step in rule.taken}
    return [
        e
        for e in history
        if any(_is(step, e, own) for step in rule.steps)
        or (rule.order == "strict" and ("any" in sources or ("screen", "transaction")[e.rank] in sources))
    ]


def choices(rule: Rule, events: list[Event], own: list[Event]) -> set[tuple[int, int]]:
    """First and last place of every choice of events that the rule allows."""
    steps = [step for _, step in rule.taken]
    nots: list[list[Condition]] = [[] for _ in range(len(steps) + 1)]  # by the step that they come before
    before = 0
    for step in rule.steps:
        if step.not_ is None:
            before += 1
        else:
            nots[before].append(step.not_)
    chosen = {Chosen(start, start - 1, start) for start in range(len(events))}
    for number, step in enumerate(steps):
        taken = {new for old in chosen for new in _take(rule, number, old, events, own, nots[number])}
        chosen = taken | chosen if step.optional else taken
    return {(choice.start, choice.last) for choice in chosen}


def _take(
    rule: Rule, number: int, old: Chosen, events: list[Event], own: list[Event], nots: list[Condition]
) -> Iterator[Chosen]:
    """Every way to take one step after what was chosen."""
    step, is_first = rule.taken[number][1], number == 0
    latest = events[old.start].at + rule.within if rule.within is not None else None
    possible = [
        place
        for place in range(old.last + 1, len(events))
        if _is(step, events[place], own) and (latest is None or events[place].at <= latest)
    ]
    counts = [step.times.gte] if step.times.lte is None else range(step.times.gte, step.times.lte + 1)
    for count in counts:
        for places in itertools.combinations(possible, count):
            first, last = places[0], places[-1]
            if is_first and first != old.start:
                continue
            expected = (old.last if not is_first else first - 1) + 1
            if rule.order == "strict" and places != tuple(range(expected, expected + count)):
                continue
            if old.counted is not None:
                what, since, times = old.counted
                happened = rule.taken[what][1]
                if sum(_is(happened, events[place], own) for place in range(since + 1, first)) != times:
                    continue
            if step.within is not None and events[last].at - events[first if is_first else old.done].at > step.within:
                continue
            if any(events[place].fulfils(x) for x in nots for place in range(old.last + 1, last + 1)):
                continue
            counted = None if step.times.lte is None else (number, old.last, count)
            yield Chosen(old.start, last, old.done if step.optional else last, counted)


def random_rule(chance: random.Random, rule_id: str) -> dict[str, Any]:
    """A definition drawn at random, of those that are valid; as it stands in YAML."""
    while True:
        content = _draw(chance, rule_id)
        try:
            parse_rules(document([content]))
        except DefinitionError:
            continue
        return content


def document(rules: list[dict[str, Any]]) -> Document:
    """Rules as if they had been read from a file."""
    return Document("rules", Path("rules.yml"), {"rules": rules}, {})


def _draw(chance: random.Random, rule_id: str) -> dict[str, Any]:
    def condition() -> dict[str, Any]:
        if chance.random() < 0.1:
            return of_node(chance)
        if chance.random() < 0.2:
            return {"source": "transaction", "where": {"transaction_code": chance.choice(TRANSACTIONS)}}
        pages = chance.sample(PAGES[:4], chance.choice([1, 1, 2, 3]))
        where: dict[str, Any] = {"page_code": pages if len(pages) > 1 else pages[0]}
        if chance.random() < 0.1:
            where["channel"] = chance.choice(["web", "app"])
        return {"source": "screen", "where": where}

    steps: list[dict[str, Any]] = []
    for number in range(chance.choice([1, 1, 2, 2, 3, 3, 4])):
        if steps and chance.random() < 0.25:
            steps.append({"not": condition()})
        step: dict[str, Any] = {"name": f"{number}", **condition(), "optional": chance.random() < 0.15}
        step["new_device"] = step["source"] == "screen" and chance.random() < 0.15
        if chance.random() < 0.35:
            step["times"] = {"gte": chance.choice([1, 2, 2, 3])}
            if chance.random() < 0.5:
                step["times"]["lte"] = step["times"]["gte"] + chance.choice([0, 1])
        if chance.random() < 0.2:
            step["within"] = chance.choice(["1ms", "1s", "60s", "10m"])
        steps.append(step)
    content: dict[str, Any] = {
        "id": rule_id, "label": {"ko": "시험", "en": "Test"}, "owner": "tests", "steps": steps,
        "order": chance.choice(["relaxed", "relaxed", "relaxed", "strict"]),
        "after_match": chance.choice(["past_last", "next_row"]),
    }  # fmt: skip
    if chance.random() < 0.6:
        content["within"] = chance.choice(["1ms", "1s", "60s", "10m", "30m", "2h"])
    if chance.random() < 0.25:
        content["hold"] = ["channel"]
    if chance.random() < 0.4:
        content["cooldown"] = chance.choice(["1ms", "60s", "10m", "1d"])
    if chance.random() < 0.3:
        content["goal"] = condition() | {"within": chance.choice(["60s", "30m"])}
    ending = chance.choice(["nothing", "nothing", "absence", "session_end", "both", "dwell"])
    if ending == "dwell":
        content["dwell"] = {"gte": chance.choice(["1s", "60s", "10m", "45m", "2h"])}
    if ending in {"session_end", "both"}:
        content["session_end"] = True
    if ending in {"absence", "both"}:
        content["absence"] = condition() | (
            {"within": chance.choice(["1s", "60s", "10m"])} if ending == "absence" else {}
        )
    return content
