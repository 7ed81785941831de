"""What a report says: the numbers of a pack's dashboard, asked of the same functions of schema mart as the same role.

All of it is read of one publication before a file is written: a question that fails leaves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple

import psycopg
from psycopg.rows import dict_row

from journeymart.analysis import Result, calling
from journeymart.definitions.loader import Label
from journeymart.definitions.packs import Anchor, Between, Pack
from journeymart.errors import JourneymartError, NotPublishedError
from journeymart.superset.packs import name_of
from journeymart.superset.specs import Assets, Text, read_assets

Kind = Literal["count", "share", "minutes"]
Value = int | float | None
Words = Label | Text
Row = tuple[Words, tuple[Value, ...]]
# As many as the dashboard shows by name; of ways the page has fewer than the CSV.
NODES, WAYS, WAYS_SHOWN = 6, 100, 10
FACTS = """
    select
        p.publication_id, p.checks_passed, p.checks_failed,
        to_char(p.watermark_at at time zone mart.time_zone(), 'YYYY-MM-DD HH24:MI') as as_of,
        to_char(p.published_at at time zone mart.time_zone(), 'YYYY-MM-DD HH24:MI') as published,
        -- files of a whole day end with its last hour; those of the next day may be a day away
        (p.watermark_at at time zone mart.time_zone() + interval '1 hour')::date as until_date,
        (select min(d.session_date) from mart.session_daily as d) as first_date
    from mart.publication_latest as p
"""


class Number(NamedTuple):
    """A kind of number: its name, what it is, how it is written; a share may be drawn as a bar beside."""

    label: Words
    definition: Words
    kind: Kind = "count"
    is_drawn: bool = False


class Table(NamedTuple):
    """Rows of a name and a value for each number."""

    title: Words
    heading: Words
    numbers: tuple[Number, ...]
    rows: list[Row]


class Section(NamedTuple):
    """A part of a pack: numbers with those of the period before, tables, and all that was answered, by question."""

    title: Words
    cards: list[tuple[Number, Value, Value]]
    tables: list[Table]
    data: dict[str, Result]


class Content(NamedTuple):
    """A whole report."""

    pack: Pack
    sessions: list[tuple[Words, Words]]  # which it is of: filters of the dashboard, and what they begin with
    period: tuple[date, date]
    before: tuple[date, date]
    facts: dict[str, Any]
    sections: list[Section]

    @property
    def numbers(self) -> list[Number]:
        """Every number in it, once."""
        cards = [card[0] for section in self.sections for card in section.cards]
        tables = [number for section in self.sections for table in section.tables for number in table.numbers]
        return list({number.label.ko: number for number in cards + tables}.values())


def facts(connection: psycopg.Connection) -> dict[str, Any]:
    """Of the latest publication: number, times, checks, dates of the data. Raises NotPublishedError without data."""
    [found] = connection.cursor(row_factory=dict_row).execute(FACTS).fetchall() or [{"first_date": None}]
    if found["first_date"] is None:
        raise NotPublishedError("no session has been published yet")
    return found


def ask(connection: psycopg.Connection, pack: Pack, period: tuple[date, date], definitions: Path | None) -> Content:
    """The report of a pack, with the period before where there are data of all of that.

    Raises JourneymartError if the mart has nothing of it: a report of nothing but zeros is a fault, not news.
    """
    found = facts(connection)
    sessions = "select coalesce(sum(sessions), 0) from mart.session_daily where session_date between %s and %s"
    if connection.execute(sessions, period).fetchone() == (0,):
        raise JourneymartError(f"there is no session from {period[0]} to {period[1]}")
    before = pack.report.before(period[0]) if pack.report else period
    nodes: dict[str, str] = dict(connection.execute("select node, min(label) from mart.node group by node").fetchall())
    is_comparable = before[0] >= found["first_date"]
    assets = read_assets(definitions=definitions)
    asker = _Asker(connection, assets, pack, period, before if is_comparable else None, nodes)
    sections = list(asker.sections())
    if facts(connection)["publication_id"] != found["publication_id"]:
        raise JourneymartError("the mart was published anew meanwhile; ask again")
    filters = assets.dashboards[name_of(pack)].filters.values()
    chosen: list[tuple[Words, Words]] = [(item.label, item.default) for item in filters if item.default]
    return Content(pack, chosen, period, before, found, sections)


def shown(value: Value, kind: Kind) -> str:
    """A value as people read it; minutes are stored as seconds."""
    if value is None:
        return "–"
    return f"{value:.1%}" if kind == "share" else f"{value / 60:,.1f}" if kind == "minutes" else f"{value:,}"


def _both(ko: str, en: str) -> Label:
    return Label(ko=ko, en=en)


def _share(part: int, whole: int) -> Value:
    return part / whole if whole else None


NOTHING = (None, None, None, None)
ENDS = {"유입": _both("유입", "Entry"), "이탈": _both("이탈", "Exit")}
# What the dashboards say of these fits a dashboard only, or other columns.
AT_ANCHOR = Number(
    _both("기준에 온 세션", "Sessions at the anchor"),
    _both("기준(페이지, 거래, 오류)이 있는 세션", "Sessions with this page, transaction or error"),
)
MOVED = Number(
    _both("이동 세션", "Sessions moving"),
    _both(
        "기준을 처음 본 때의 바로 앞이나 뒤에 이 이동을 한 세션",
        "Sessions that moved so around their first visit of it",
    ),
)
OF_ANCHOR = Number(
    _both("비율", "Share"),
    _both("이동 세션 ÷ 기준에 온 세션", "Sessions moving ÷ sessions at the anchor"),
    "share",
    True,
)
OF_PREVIOUS = Number(
    _both("직전 단계 대비", "Of previous step"),
    _both("이 단계 도달 ÷ 앞의 필수 단계 도달", "Reached this step ÷ reached the required step before"),
    "share",
)


@dataclass(frozen=True)
class _Asker:
    connection: psycopg.Connection
    assets: Assets
    pack: Pack
    period: tuple[date, date]
    before: tuple[date, date] | None
    names: dict[str, str] = field(repr=False)

    def sections(self) -> Iterator[Section]:
        """The parts of the pack in the order of its dashboard."""
        pack = self.pack
        if pack.funnel:
            yield self._funnel(pack.funnel, pack.segments)
        for number, anchor in enumerate(pack.anchors, start=1):
            yield self._around(number, anchor)
        if pack.between:
            yield self._between(pack.between)

    def _ask(self, function: str, period: tuple[date, date] | None = None, **arguments: Any) -> Result:
        first, last = period or self.period
        arguments |= {"from_date": first, "to_date": last, **self.pack.sessions}
        return Result.of(self.connection.execute(calling(function, arguments), arguments))

    def _number(self, dataset: str, name: str, kind: Kind = "count", *, is_drawn: bool = False) -> Number:
        """A number as the dashboards explain it."""
        metric = self.assets.datasets[dataset].metrics[name]
        return Number(metric.label, metric.description, kind, is_drawn)

    def _name(self, node: str) -> str:
        return self.names.get(node) or node

    def _funnel(self, funnel: str, segments: tuple[str, ...]) -> Section:
        ask: dict[str, Any] = {"funnel_id": funnel}
        data = {"funnel": self._ask("funnel", **ask)}
        if not data["funnel"].rows:
            raise JourneymartError(f"the funnel {funnel} is not published for this department")
        steps = data["funnel"].records()
        rate = self._number("funnel", "conversion_rate", "share", is_drawn=True)
        started, finished, still_open = (self._number("funnel", name) for name in ("started", "finished", "open_now"))
        then = _reached(self._ask("funnel", self.before, **ask).records()) if self.before else NOTHING
        cards = list(zip((started, finished, rate, still_open), _reached(steps), then, strict=True))
        numbers = (
            self._number("funnel", "entered"), self._number("funnel", "from_first", "share", is_drawn=True),
            OF_PREVIOUS, self._number("funnel", "dropped"), self._number("funnel", "still_open"),
        )  # fmt: skip
        columns = ("entered", "from_first", "from_previous", "dropped", "still_open")
        query = "select label_ko, label_en, step_names_ko, step_names_en from mart.funnel where funnel_id = %s"
        [(ko, en, *names)] = self.connection.execute(query, (funnel,)).fetchall()
        rows: list[Row] = [
            (_both(f"{step['step_no']}. {name}", name_en), tuple(step[column] for column in columns))
            for step, name, name_en in zip(steps, *names, strict=True)
        ]
        tables = [Table(self.assets.charts["funnel_steps"].title, _both("단계", "Step"), numbers, rows)]
        if segments:
            by_segment: dict[str, Any] = {"breakdown_by": "segment", "segments": list(segments)}
            data["funnel_segments"] = grouped = self._ask("funnel", **ask, **by_segment)
            query = "select segment_id, name_ko, name_en from mart.segment where segment_id = any(%(segments)s)"
            named = {key: _both(*name) for key, *name in self.connection.execute(query, by_segment)}
            rows = [(_both("전체", "Everybody"), _reached(steps)[:3])]
            for key in segments:
                of_segment = [row for row in grouped.records() if row["breakdown"] == key]
                rows.append((named.get(key, _both(key, key)), _reached(of_segment)[:3]))
            title = self.assets.charts["funnel_groups"].title
            tables.append(Table(title, _both("고객군", "Customers"), (started, finished, rate), rows))
        return Section(_both(f"퍼널: {ko}", en), cards, tables, data)

    def _around(self, number: int, anchor: Anchor) -> Section:
        result = self._ask("paths_around", node=anchor.code, kind=anchor.kind, before=1, after=1)
        total = sum(move["sessions"] for move in result.records() if move["step"] == 0)
        tables = []
        for step, node, chart in ((-1, "from_node", "around_before"), (0, "to_node", "around_after")):
            moves = [(move[node], move["sessions"]) for move in result.records() if move["step"] == step]
            pages = [item for item in moves if item[0] not in ENDS]
            kept = [(ENDS[name], count) for name, count in moves if name in ENDS]
            kept += [(_both(self._name(code), self._name(code)), count) for code, count in pages[:NODES]]
            kept.sort(key=lambda item: -item[1])
            if others := sum(count for _, count in pages[NODES:]):
                kept.append((_both("기타", "Other"), others))
            rows: list[Row] = [(label, (count, _share(count, total))) for label, count in kept]
            tables.append(Table(self.assets.charts[chart].title, _both("페이지", "Page"), (MOVED, OF_ANCHOR), rows))
        name = anchor.code if anchor.kind == "error" else self._name(anchor.code)
        return Section(
            _both(f"전후 경로: {name}", "Before and after"),
            [(AT_ANCHOR, total, None)],
            tables,
            {f"around_{number}": result},
        )

    def _between(self, between: Between) -> Section:
        ask: dict[str, Any] = {"start": between.start.code, "end": between.end.code, "top_k": WAYS}
        result = self._ask("paths_between", **ask)
        numbers = (
            self._number("between", "started"), self._number("between", "reached"),
            self._number("between", "reach_rate", "share"),
        )  # fmt: skip
        now = started, reached, _ = _arrived(result)
        then = _arrived(self._ask("paths_between", self.before, **ask)) if self.before else NOTHING[:3]
        ways = [row for row in result.rows if row[0] not in ("이탈", "기타")][:WAYS_SHOWN]
        others = reached - sum(sessions for _, sessions, _ in ways)
        kept = [(" → ".join(map(self._name, path.split(" > "))), *rest) for path, *rest in ways]
        rows: list[Row] = [
            (_both(name, name), (sessions, _share(sessions, started), seconds)) for name, sessions, seconds in kept
        ]
        rest = {("기타 경로", "Other ways"): others, ("끝에 닿지 않음", "Did not reach the end"): started - reached}
        rows += [(_both(*name), (count, _share(count, started), None)) for name, count in rest.items() if count]
        columns = (
            self._number("between", "sessions"), self._number("between", "share", "share", is_drawn=True),
            self._number("between", "minutes", "minutes"),
        )  # fmt: skip
        table = Table(self.assets.charts["between_ways_table"].title, _both("경로", "Way"), columns, rows)
        ends = " → ".join(self._name(anchor.code) for anchor in (between.start, between.end))
        cards = list(zip(numbers, now, then, strict=True))
        return Section(_both(f"사이 경로: {ends}", "Paths between"), cards, [table], {"between": result})


def _reached(steps: list[dict[str, Any]]) -> tuple[Value, ...]:
    """Of a funnel: started, finished, their share, still open; zeros without steps, as of a segment of nobody."""
    started, finished = (steps[0]["entered"], steps[-1]["converted"]) if steps else (0, 0)
    return started, finished, _share(finished, started), sum(step["still_open"] for step in steps)


def _arrived(ways: Result) -> tuple[int, int, Value]:
    """Sessions at the start, at the end, and their share."""
    started = sum(row[1] for row in ways.rows)
    reached = sum(row[1] for row in ways.rows if row[0] != "이탈")
    return started, reached, _share(reached, started)
