"""Funnels in plain Python, as docs/semantics.md words them: every entry is tried, event by event."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from pydantic import ValidationError
from tests.oracle.logs import GAP, NO_PAGE, PAGES, TRANSACTIONS, Item, Session, code_of, lines

from journeymart.definitions.conditions import Condition
from journeymart.definitions.funnels import Exclusion, Funnel, Step

NOWHERE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Event:
    """Something that happened in a log. The order of its fields is the total order."""

    at: datetime
    rank: int
    line: int
    code: str
    channel: str
    person: str
    visitor: str | None
    session: tuple[str, datetime] | None  # visitor and start
    session_end: datetime | None

    def fulfils(self, condition: Condition) -> bool:
        """Whether a condition of the generated funnels holds."""
        source = ("screen", "transaction")[self.rank]
        code = ("page_code", "transaction_code")[self.rank]
        values = {"node": self.code, "channel": self.channel} | ({} if self.code == NO_PAGE else {code: self.code})
        return condition.source in {"any", source} and all(
            name not in values if wanted == {"is_null": True}
            else values.get(name) in (wanted if isinstance(wanted, list) else [wanted])
            for name, wanted in condition.where.items()
        )  # fmt: skip


@dataclass(frozen=True)
class Attempt:
    """From one entry on: places of the steps taken, and whether it is over or void."""

    entry: int
    taken: dict[int, int]
    required: int
    last: int  # the place of the last step that is not optional
    converted: bool
    ended_at: int | None = None
    void: bool = False
    open_until: datetime | None = None


@dataclass(frozen=True)
class Entry:
    """A row of funnel_entry."""

    subject: str
    entered_at: datetime
    step_times: tuple[datetime | None, ...]
    converted: bool
    over: bool
    open_until: datetime | None
    breakdown: str
    attempt_no: int = 1
    tie_decided: bool = False
    seconds: tuple[float | None, ...] = field(default=(), compare=False)


def events_of(batch: list[list[Item]], shuffle_seed: int, sessions: list[list[Session]]) -> list[list[Event]]:
    """What happened in each log, in the total order, by the sessions of the reference."""
    result: list[list[Event]] = [[] for _ in batch]
    for rank, landed in enumerate(lines(batch, shuffle_seed)):
        for line, (number, at, item) in enumerate(landed):
            moment, visitor = at.astimezone(UTC), f"{number}-v{item.visitor}"
            reach = GAP if rank else timedelta(0)
            of = [
                s
                for s in sessions[number]
                if s.visitor == visitor
                and s.started_at <= moment <= s.ended_at + reach
                and (not rank or s.customer in {None, f"{number}-c{item.customer or 1}"})
            ]
            session = of[-1] if of else None
            if rank:
                person = f"{number}-c{item.customer or 1}"
            elif session and session.customer:
                person = session.customer
            else:
                person = f"{number}-c{item.customer}" if item.customer else visitor
            result[number].append(Event(
                at=moment, rank=rank, line=line, code=code_of(item) if rank else item.node,
                channel="web" if rank else item.channel, person=person, visitor=session.visitor if session else None,
                session=(session.visitor, session.started_at) if session else None,
                session_end=session.ended_at if session else None,
            ))  # fmt: skip
    for log in result:
        log.sort(key=lambda event: (event.at, event.rank, event.line))
    return result


def entries(funnel: Funnel, log: list[Event]) -> list[Entry]:
    """Everyone who is in the funnel."""
    found = []
    for subject, events in _subjects(funnel, log):
        histories: dict[str, list[Event]] = {}
        for event in events:
            histories.setdefault(event.channel if funnel.hold else "", []).append(event)
        tried = [(attempt, history) for history in histories.values() for attempt in _counted(funnel, history)]
        tried.sort(key=lambda pair: _key(pair[1][pair[0].entry]))
        if funnel.count_by == "attempt":
            chosen = [pair for pair in tried if not pair[0].void]
        elif funnel.entry == "first":
            chosen = [pair for pair in tried[:1] if not pair[0].void]
        else:
            chosen = _best(funnel, tried, _key)
        found += [
            _entry(funnel, subject, attempt, history, number)
            for number, (attempt, history) in enumerate(chosen, start=1)
        ]
    return found


Tried = list[tuple[Attempt, list[Event]]]
Order = Callable[[Event], tuple[datetime, int, int]]


def _best(funnel: Funnel, tried: Tried, order: Order) -> Tried:
    """Of attempts by their entries, the one that counts."""
    tried = [pair for pair in tried if not pair[0].void]
    furthest = max((a.required for a, _ in tried), default=0)
    tried = [pair for pair in tried if pair[0].required == furthest]
    if funnel.entry == "latest" and tried:
        soonest = min(order(history[a.last]) for a, history in tried)
        tried = [pair for pair in tried if order(pair[1][pair[0].last]) == soonest][-1:]
    return tried[:1]


def _key(event: Event) -> tuple[datetime, int, int]:
    return event.at, event.rank, event.line


def _reverse_key(event: Event) -> tuple[datetime, int, int]:
    return event.at, -event.rank, -event.line


def _subjects(funnel: Funnel, log: list[Event]) -> Iterator[tuple[str, list[Event]]]:
    """Subjects with what counts for the funnel."""
    relevant = [*funnel.steps, *funnel.exclusions, *funnel.other_conditions()]
    subjects: dict[Any, list[Event]] = {}
    for event in log:
        subject = {"visitor": event.visitor, "session": event.session}.get(funnel.count_by, event.person)
        if subject is not None and any(event.fulfils(condition) for condition in relevant):
            subjects.setdefault(subject, []).append(event)
    for subject, events in subjects.items():
        yield subject if isinstance(subject, str) else f"{subject[0]}@{subject[1].isoformat()}", events


def _counted(funnel: Funnel, events: list[Event]) -> list[Attempt]:
    """The attempts of one history that may count."""
    result = []
    place = 0
    ending: list[Event] = []
    if funnel.exclusion_mode == "end_person":
        first = next((p for p, event in enumerate(events) if _is_entry(funnel, event)), len(events))
        ends = (p for p in range(first + 1, len(events)) if any(map(events[p].fulfils, funnel.exclusions)))
        end = next(ends, len(events))
        events, ending = events[:end], events[end:]
    while place < len(events):
        if not _is_entry(funnel, events[place]):
            place += 1
            continue
        attempt = _attempt(funnel, events, place)
        if ending and not attempt.converted and attempt.ended_at is None:
            in_time = attempt.open_until is None or ending[0].at <= attempt.open_until
            attempt = replace(attempt, ended_at=len(events), open_until=None) if in_time else attempt
        result.append(attempt)
        if funnel.count_by != "attempt":
            place += 1
        elif attempt.converted:
            place = attempt.last + 1
        elif attempt.ended_at is not None:
            # what ended it may be the next entry, unless it was excluded
            place = attempt.ended_at + (0 if funnel.order == "strict" and not _excluded(funnel, events, attempt) else 1)
        elif attempt.open_until is None:
            break
        else:
            place = attempt.last + 1
            while place < len(events) and events[place].at <= attempt.open_until:
                place += 1
    return result


def _excluded(funnel: Funnel, events: list[Event], attempt: Attempt) -> bool:
    step = max(attempt.taken)
    return attempt.ended_at is not None and any(
        events[attempt.ended_at].fulfils(x) and x.from_step <= step < (x.to_step or len(funnel.steps))
        for x in funnel.exclusions
    )


def _is_entry(funnel: Funnel, event: Event) -> bool:
    return any(event.fulfils(step) for step in (funnel.steps if funnel.order == "any" else funnel.steps[:1]))


def _attempt(funnel: Funnel, events: list[Event], entry: int) -> Attempt:
    return (_in_any_order if funnel.order == "any" else _in_order)(funnel, events, entry)


def _sooner(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _after(moment: datetime, window: timedelta | None) -> datetime | None:
    return None if window is None else moment + window


def _in_order(funnel: Funnel, events: list[Event], entry: int) -> Attempt:
    steps = funnel.steps
    window_of = dict(enumerate(funnel.step_windows, start=1))
    exclusions = funnel.exclusions if funnel.exclusion_mode != "end_person" else ()
    window_end = _after(events[entry].at, funnel.window)
    taken, step, last, required = {1: entry}, 1, entry, 1
    while step < len(steps):
        target = next(n for n in range(step + 1, len(steps) + 1) if not steps[n - 1].optional)
        deadline = _sooner(window_end, _after(events[last].at, window_of.get(target)))
        active = [x for x in exclusions if x.from_step <= step and (x.to_step or len(steps)) >= target]
        what, end = _next(funnel, events, range(last + 1, len(events)), deadline, active, steps[target - 1])
        behind = last
        for number in range(step + 1, target):
            limit = _sooner(deadline, _after(events[last].at, window_of.get(number)))
            for place in range(behind + 1, end):
                if events[place].fulfils(steps[number - 1]):
                    if limit is None or events[place].at <= limit:
                        taken[number] = behind = place
                    break
        if what in {"excluded", "broken"}:
            void = what == "excluded" and funnel.exclusion_mode == "drop_person"
            return Attempt(entry, taken, required, last, converted=False, ended_at=end, void=void)
        if what == "nothing":
            return Attempt(entry, taken, required, last, converted=False, open_until=deadline)
        taken[target] = last = end
        step, required = target, required + 1
    return Attempt(entry, taken, required, last, converted=True)


def _next(
    funnel: Funnel, events: list[Event], places: range, deadline: datetime | None, active: list[Exclusion], target: Step
) -> tuple[str, int]:
    """What comes first in time, and where."""
    for place in places:
        event = events[place]
        if deadline is not None and event.at > deadline:
            break
        if any(event.fulfils(exclusion) for exclusion in active):
            return "excluded", place
        if event.fulfils(target):
            return "step", place
        if funnel.order == "strict":
            return "broken", place
    return "nothing", len(events)


def _in_any_order(funnel: Funnel, events: list[Event], entry: int) -> Attempt:
    exclusions = funnel.exclusions if funnel.exclusion_mode != "end_person" else ()
    window_end = _after(events[entry].at, funnel.window)
    left = list(funnel.steps)
    taken: dict[int, int] = {}
    for place in range(entry, len(events)):
        event = events[place]
        if window_end is not None and event.at > window_end:
            break
        if taken and any(event.fulfils(exclusion) for exclusion in exclusions):
            void = funnel.exclusion_mode == "drop_person"
            last = max(taken.values())
            return Attempt(entry, taken, len(taken), last, converted=False, ended_at=place, void=void)
        step = next((step for step in left if event.fulfils(step)), None)
        if step is not None:
            left.remove(step)
            taken[len(taken) + 1] = place
        if not left:
            return Attempt(entry, taken, len(taken), place, converted=True)
    return Attempt(entry, taken, len(taken), max(taken.values()), converted=False, open_until=window_end)


def _entry(funnel: Funnel, subject: str, attempt: Attempt, events: list[Event], number: int) -> Entry:
    times = tuple(
        events[attempt.taken[step]].at if step in attempt.taken else None for step in range(1, max(attempt.taken) + 1)
    )
    open_until = attempt.open_until
    if funnel.count_by == "session" and not attempt.converted and attempt.ended_at is None:
        end = events[attempt.entry].session_end
        open_until = _sooner(open_until, end and end + GAP)
    breakdown = "all"
    if funnel.breakdown is not None:
        place = attempt.taken.get(funnel.breakdown.as_of_step)
        breakdown = "(none)" if place is None else events[place].channel
    seconds: list[float | None] = []
    for step, moment in enumerate(times):
        before = [earlier for earlier in times[:step] if earlier is not None]
        seconds.append((moment - before[-1]).total_seconds() if moment and before else None)
    return Entry(
        subject, times[0] or NOWHERE, times, attempt.converted, attempt.ended_at is not None, open_until, breakdown,
        number, _tie_decided(funnel, attempt, events), tuple(seconds),
    )  # fmt: skip


def _tie_decided(funnel: Funnel, attempt: Attempt, events: list[Event]) -> bool:
    """Whether the history has no such attempt when events of the same time come in the reverse order."""
    reverse = sorted(events, key=_reverse_key)
    place = _told(funnel, events, _key).index(attempt)
    others = _told(funnel, reverse, _reverse_key)
    return place >= len(others) or _ending(attempt, events) != _ending(others[place], reverse)


def _told(funnel: Funnel, events: list[Event], order: Order) -> list[Attempt]:
    """The attempts of one history that count, were it the only one."""
    tried = _counted(funnel, events)
    if funnel.count_by == "attempt":
        return [attempt for attempt in tried if not attempt.void]
    if funnel.entry == "first":
        return tried[:1]
    return [attempt for attempt, _ in _best(funnel, [(attempt, events) for attempt in tried], order)]


def _ending(attempt: Attempt, events: list[Event]) -> tuple[Any, ...]:
    times = {step: events[place].at for step, place in attempt.taken.items()}
    return times, attempt.converted, attempt.ended_at is not None, attempt.void, attempt.open_until


def steps_of(funnel: Funnel, found: list[Entry], watermark: datetime) -> dict[tuple[str, int], tuple[Any, ...]]:
    """(breakdown, step) → entered, converted, dropped, still open, decided by ties, median seconds."""
    result = {}
    for breakdown in {entry.breakdown for entry in found}:
        of = [entry for entry in found if entry.breakdown == breakdown]
        for step in range(1, len(funnel.steps) + 1):
            there = [e for e in of if len(e.step_times) >= step and e.step_times[step - 1]]
            after = [n for n in range(step + 1, len(funnel.steps) + 1) if not funnel.steps[n - 1].optional][:1]
            on: list[Entry] = []
            away: list[Entry] = []
            for e in there:
                goes_on = not after or (len(e.step_times) >= after[0] and e.step_times[after[0] - 1])
                (on if goes_on else away).append(e)
            dropped = [e for e in away if e.over or (e.open_until is not None and e.open_until < watermark)]
            seconds = [duration for e in there if (duration := e.seconds[step - 1]) is not None]
            result[breakdown, step] = (
                len(there), len(on), len(dropped), len(away) - len(dropped), sum(e.tie_decided for e in there),
                median(seconds) if seconds else None,
            )  # fmt: skip
    return result


def random_funnel(chance: random.Random, funnel_id: str) -> dict[str, Any]:
    """A definition drawn at random, of those that are valid; as it stands in YAML."""
    while True:
        content = _draw(chance, funnel_id)
        try:
            Funnel.model_validate(content)
        except ValidationError:
            continue
        return content


def of_node(chance: random.Random) -> dict[str, Any]:
    """A condition on pages and transactions alike, some of which have the same code, or on what has no page code."""
    if chance.random() < 0.3:
        return {"source": chance.choice(["any", "screen"]), "where": {"page_code": {"is_null": True}}}
    source = chance.choice(["any", "any", "screen", "transaction"])
    return {"source": source, "where": {"node": chance.choice([*PAGES, *TRANSACTIONS])}}


def _draw(chance: random.Random, funnel_id: str) -> dict[str, Any]:
    def condition() -> dict[str, Any]:
        if chance.random() < 0.1:
            return of_node(chance)
        if chance.random() < 0.2:
            return {"source": "transaction", "where": {"transaction_code": chance.choice(TRANSACTIONS)}}
        pages = chance.sample(PAGES[:4], chance.choice([1, 1, 2]))
        where: dict[str, Any] = {"page_code": pages if len(pages) > 1 else pages[0]}
        if chance.random() < 0.2:
            where["channel"] = chance.choice(["web", "app"])
        return {"source": "screen", "where": where}

    steps = [condition() for _ in range(chance.choice([2, 2, 3, 3, 4]))]
    content: dict[str, Any] = {
        "id": funnel_id, "label": {"ko": "시험", "en": "Test"}, "owner": "tests",
        "order": chance.choice(["ordered", "strict", "strict", "any", "any"]),
        "window": chance.choice([None, "1ms", "1s", "60s", "10m", "30m", "2h"]),
        "entry": chance.choice(["first", "latest", "best"]),
        "count_by": chance.choice(["person", "visitor", "session", "attempt", "attempt", "attempt"]),
        "exclusion_mode": chance.choice(["end_attempt", "drop_person", "end_person"]),
        "steps": [
            {"name": f"{number}", "optional": chance.random() < 0.3, **step} for number, step in enumerate(steps)
        ],
    }  # fmt: skip
    if chance.random() < (0.9 if content["exclusion_mode"] == "end_person" else 0.4):
        content["exclusions"] = [
            condition() | ({"from_step": chance.randint(1, 2), "to_step": chance.randint(2, 4)}
                           if chance.random() < 0.5 else {})
            for _ in range(chance.choice([1, 1, 2]))
        ]  # fmt: skip
    if chance.random() < 0.3:
        content["step_windows"] = [None, *(chance.choice([None, "1s", "60s", "10m"]) for _ in steps[1:])]
    if chance.random() < 0.25:
        content["hold"] = ["channel"]
    if chance.random() < 0.3:
        content["breakdown"] = {"by": "channel", "as_of_step": chance.randint(1, len(steps))}
    return content
