"""The path analyses in plain Python, as docs/semantics.md words them; one loop over sessions each."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from statistics import median

from tests.oracle.funnels import Event
from tests.oracle.logs import Session

OTHER, EXIT, ENTRY = "기타", "이탈", "유입"
Edge = tuple[int, str, str]
Way = tuple[tuple[str, str], ...]  # node and kind


def chosen(sessions: Iterable[Session], **scope: str) -> list[Session]:
    """What the shared filters leave."""
    return [s for s in sessions if all(getattr(s, name) == value for name, value in scope.items())]


def main(sessions: list[Session], depth: int, top_k: int | None) -> dict[Edge, int]:
    """(step, from, to) → sessions."""
    columns = [[s.nodes[place] if place < len(s.nodes) else EXIT for s in sessions] for place in range(depth + 1)]
    named = [_most(Counter(node for node in column if node != EXIT), top_k) for column in columns]
    result: Counter[Edge] = Counter()
    for place in range(depth):
        for source, target in zip(columns[place], columns[place + 1], strict=True):
            result[place + 1, _name(source, named[place]), _name(target, named[place + 1])] += 1
    return dict(result)


def _most(counts: Counter[str], top_k: int | None) -> set[str]:
    return {node for node, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top_k]}


def _name(node: str, named: set[str]) -> str:
    return node if node == EXIT or node in named else OTHER


def anchors(session: Session, node: str, kind: str, occurrence: str) -> list[int]:
    """Positions, from 0, at which a session is at a node or meets an error."""
    if kind == "error":
        found = sorted({place for code, page, place in session.errors if node in {code, page}})
    else:
        found = [p for p, (n, k) in enumerate(zip(session.nodes, session.kinds, strict=True)) if (n, k) == (node, kind)]
    return {"first": found[:1], "last": found[-1:], "all": found}[occurrence]


def around(sessions: list[Session], node: str, before: int, after: int, occurrence: str, kind: str) -> dict[Edge, int]:
    """(step, from, to) → sessions, step 0 leading away from the node."""
    result: Counter[Edge] = Counter()
    for session in sessions:
        for place in anchors(session, node, kind, occurrence):
            for step in range(-before, after):
                outside = ENTRY if step < 0 else EXIT
                source, target = (
                    session.nodes[at] if 0 <= at < len(session.nodes) else outside
                    for at in (place + step, place + step + 1)
                )
                result[step, source, target] += 1
    return dict(result)


def session_id(session: Session) -> str:
    """What decides between steps of several devices at one moment."""
    moment = (session.started_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return hashlib.md5(f"{session.visitor}|{moment}".encode()).hexdigest()  # noqa: S324 - as the mart makes it


def journeys(
    sessions: list[Session], events: list[Event], node: str, kind: str, occurrence: str, within: timedelta,
    scope: dict[str, str],
) -> Iterator[Session]:  # fmt: skip
    """Of each person the first, the last or every time at a node, as one session that begins so long before it and
    ends so long after; where in it the anchor is stands in its only error."""
    outside = [e for e in events if e.session is None]
    limits = {name: value for name, value in scope.items() if name != "channel"}
    for person in {s.customer or s.visitor for s in sessions} | {e.person for e in outside}:
        things = [
            (at, 0, session_id(s), place, s.nodes[place], s.kinds[place], s)
            for s in sessions if (s.customer or s.visitor) == person for place, at in enumerate(s.times)
        ] + [
            (e.at, 1, "", e.line, e.code, "transaction", None) for e in outside if e.person == person
        ]  # fmt: skip
        things.sort(key=lambda thing: thing[:4])
        places = []
        for place, (_, _, _, step, code, what, session) in enumerate(things):
            if session is None:
                is_left = not limits and scope.get("channel", "web") == "web"
                is_anchor = (code, what) == (node, kind)
            else:
                is_left = bool(chosen([session], **scope))
                is_anchor = step in anchors(session, node, kind, "all")
            places += [place] if is_left and is_anchor else []
        for place in {"first": places[:1], "last": places[-1:], "all": places}[occurrence]:
            around = [(number, thing) for number, thing in enumerate(things)
                      if abs(thing[0] - things[place][0]) <= within]  # fmt: skip
            position = [number for number, _ in around].index(place)
            at = things[place][0]
            yield Session(
                visitor=person, customer=None, channel="", domain="", device_type="", date=at.date(), started_at=at,
                ended_at=at, nodes=[thing[4] for _, thing in around], kinds=[thing[5] for _, thing in around],
                times=[thing[0] for _, thing in around], errors=[("", None, position)],
            )  # fmt: skip


def from_anchor(journey: Session) -> Session:
    """What of a journey comes from its anchor on."""
    [(_, _, place)] = journey.errors
    return replace(
        journey, nodes=journey.nodes[place:], kinds=journey.kinds[place:], times=journey.times[place:], errors=[]
    )


def between(
    sessions: list[Session], start: str, end: str, top_k: int | None, max_steps: int | None
) -> list[tuple[str, int, float | None]]:
    """(whole way, sessions, median seconds), most frequent first, then the rest, then who did not arrive."""
    ways: dict[tuple[tuple[str, str], ...], list[float]] = defaultdict(list)
    away = 0
    for session in sessions:
        if start not in session.nodes:
            continue
        first = session.nodes.index(start)
        last = next((p for p in range(first + 1, len(session.nodes)) if session.nodes[p] == end), None)
        if last is None or (max_steps is not None and last - first > max_steps):
            away += 1
            continue
        way = tuple(zip(session.nodes[first : last + 1], session.kinds[first : last + 1], strict=True))
        ways[way].append((session.times[last] - session.times[first]).total_seconds())
    sizes = sorted(map(len, ways.values()), reverse=True)
    # which of equally frequent ways are named is open; the counts are not
    shown = [(" > ".join(node for node, _ in way), len(times), median(times)) for way, times in ways.items()]
    shown.sort(key=lambda row: (-row[1], row[0], row[2]))
    if top_k is not None and len(shown) > top_k:
        raise AssertionError(f"the reference names all ways, of {sizes}")
    return [*shown, *([(EXIT, away, None)] if away else [])]


def steps(sessions: list[Session], nodes: list[str]) -> list[tuple[int, str, int, int]]:
    """(step, node, reached, exited)."""
    reached = [0] * (len(nodes) + 1)
    for session in sessions:
        level = 0
        for node in session.nodes:
            if level < len(nodes) and node == nodes[level]:
                level += 1
                reached[level] += 1
    return [
        (place, node, reached[place], reached[place] - reached[place + 1] if place < len(nodes) else 0)
        for place, node in enumerate(nodes, start=1)
    ]


def to_error(sessions: list[Session], error: str, steps: int, least: int) -> list[tuple[str, int, int, float]]:
    """(way to the error, sessions that first meet it on it, sessions that take it, lift); the rare ones as one."""

    def ways(session: Session, places: Iterable[int]) -> set[Way]:
        nodes = [(ENTRY, ""), *zip(session.nodes, session.kinds, strict=True)]
        return {tuple(nodes[max(place + 1 - steps, 0) : place + 2]) for place in places}

    met = {number: way for number, session in enumerate(sessions)
           for way in ways(session, anchors(session, error, "error", "first"))}  # fmt: skip
    taken = [ways(session, range(len(session.nodes))) for session in sessions]
    rows = []
    rare = {way for way in met.values() if sum(way in found for found in taken) < least}
    for name, some in [(" > ".join(node for node, _ in way), {way}) for way in set(met.values()) - rare] + [
        (OTHER, rare)
    ]:
        with_error = sum(way in some for way in met.values())
        at_all = sum(not some.isdisjoint(found) for found in taken)
        if with_error:
            rows.append((name, with_error, at_all, with_error / len(met) / (at_all / len(sessions))))
    return rows


def after_error(sessions: list[Session]) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    """(node, error) → visits with the error, of these the last of their session, and both of visits without any."""
    visits, ends = Counter[tuple[str, str | None]](), Counter[tuple[str, str | None]]()
    for session in sessions:
        for place, node in enumerate(session.nodes):
            met: set[str | None] = {code for code, _, at in session.errors if at == place}
            for code in met or {None}:
                visits[node, code] += 1
                ends[node, code] += place + 1 == len(session.nodes)
    return {
        (node, code): (count, ends[node, code], visits[node, None], ends[node, None])
        for (node, code), count in visits.items()
        if code
    }


def following(sessions: list[Session], node: str, kind: str) -> dict[str, tuple[int, float]]:
    """Next node → visits and median seconds stayed."""
    stays: dict[str, list[float]] = defaultdict(list)
    for session in sessions:
        for place in anchors(session, node, kind, "all"):
            ends = place + 1 == len(session.nodes)
            left = session.ended_at if ends else session.times[place + 1]
            seconds = max((left - session.times[place]).total_seconds(), 0)  # a transaction may be later
            stays[EXIT if ends else session.nodes[place + 1]].append(seconds)
    return {target: (len(times), median(times)) for target, times in stays.items()}
