"""Measure the analyses of the published mart beside ClickHouse, DuckDB and retentioneering on the same events.

scripts/bench engine                 one million events, docs/benchmarks/engine.md
scripts/bench engine --millions 1 10
scripts/bench engine --millions 10 --home DIR --dry      keeps the warehouse in DIR, and takes the one that is there
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, LiteralString

import duckdb
import psycopg
import yaml
from measuring import REPO, machine, server
from psycopg import sql

from journeymart import pipeline
from journeymart.analysis import Scope, adhoc
from journeymart.db import connect
from journeymart.settings import Settings

RESULTS = REPO / "docs" / "benchmarks" / "engine.md"
DAYS = 30
PEERS = ("clickhouse", "duckdb", "retentioneering")
IN_MEMORY_LIMIT = 2.0  # millions of events that retentioneering is given
KEPT, AD_HOC = 0.030, 0.300  # seconds that 95 of 100 answers may take (performance.md, P6)
MONDAY = date(1970, 1, 5)
FUNNEL_PAGES = ("ACO010", "ACO020", "ACO030", "ACO040", "ACO050")
NODES = {
    "start": "STK010",
    "end": "ORD010",
    "first": "HOME02",
    "second": "TRF010",
    "third": "TRF030",
    "login": "LGN010",
}

# Numbers instead of names, as a warehouse would load them: what the peers are given.
EXPORTS: dict[str, LiteralString] = {
    "session": "select session_no, session_date, ended_ms from numbered",
    "step": """
        with happened as (
            select visitor_key, started_at, event_at as at, 0 as source_rank, row_id, node_id
            from mart.session_event where is_move
            union all
            select session_visitor_key, started_at, transacted_at, 1, row_id, node_id
            from mart.transaction_fact where started_at is not null
        ),
        moved as (
            select *, node_id is distinct from lag(node_id) over history as is_other
            from happened window history as (partition by visitor_key, started_at order by at, source_rank, row_id)
        )
        select
            n.session_no,
            (row_number() over (partition by n.session_no order by m.at, m.source_rank, m.row_id))::smallint as step_no,
            (extract(epoch from m.at) * 1000)::bigint as at_ms, m.node_id
        from moved as m inner join numbered as n using (visitor_key, started_at) where m.is_other
    """,
    "event": """
        select
            coalesce(s.customer_key, e.customer_key, -e.visitor_key) as person_key,
            (extract(epoch from e.event_at) * 1000)::bigint as at_ms, e.row_id, e.node_id,
            (date_trunc('week', e.event_at at time zone 'Asia/Seoul')::date - date '1970-01-05') / 7 as week
        from mart.session_event as e inner join mart.session_fact as s using (visitor_key, started_at)
    """,
}


@dataclass(frozen=True)
class Question:
    """One analysis: what it is called, how it is put to the mart, and what its answer is in a form to compare."""

    title: str
    limit: float
    query: LiteralString | None  # none: a funnel drawn up on the spot
    arguments: dict[str, Any]
    comparable: Callable[[list[tuple[Any, ...]]], Any] | None = None
    peer: str | None = None  # the question as the peers know it


Answered = tuple[Question, list[float], Any]  # with its seconds, and its answer in the form to compare


def questions(connection: psycopg.Connection) -> tuple[list[Question], str]:
    """All of them, and the page that is visited most."""
    page, customer, busiest, error = (
        _one(connection, query)
        for query in (
            "select n.code from mart.session_event as e inner join raw.node as n using (node_id)"
            " where e.is_move group by 1 order by count(*) desc limit 1",
            "select n.customer_id from (select c.customer_id, percent_rank() over (order by count(*), c.customer_id)"
            " as place from mart.session_fact as s inner join raw.customer as c using (customer_key) group by 1) as n"
            " where n.place >= 0.95 order by n.place limit 1",
            "select c.customer_id from mart.session_fact as s inner join raw.customer as c using (customer_key)"
            " group by 1 order by count(*) desc limit 1",
            "select r.error_code from mart.session_event as e inner join raw.error as r using (error_key)"
            " where r.error_code is not null group by 1 order by count(*) desc limit 1",
        )
    )
    edges: LiteralString = (
        "select m.session_date::text, f.node, coalesce(t.node, '이탈'), m.visits"
        " from (select session_date, node_id, next_node_id, sum(visits)::bigint as visits from mart.path_move"
        " group by 1, 2, 3) as m"
        " inner join mart.node as f on m.node_id = f.node_id left join mart.node as t on m.next_node_id = t.node_id"
    )
    known = [
        Question("main paths, 5 steps", KEPT, "select * from mart.paths_main(5)", {}, _main, "main"),
        Question("the same, 6 nodes a step, as drawn", KEPT, "select * from mart.paths_main(5, 6)", {}),
        Question("main paths of a segment", AD_HOC,
                 "select * from mart.paths_main(5, segment => 'SG-AGGRESSIVE')", {}),
        Question("main paths of two segments compared", AD_HOC,
                 "select * from mart.paths_compare('SG-AGGRESSIVE', 'SG-STABLE')", {}),
        Question("2 steps around the most visited page", KEPT, "select * from mart.paths_around(%(page)s)",
                 {"page": page}, _around, "around"),
        Question("3 steps before and 5 after it", AD_HOC, "select * from mart.paths_around(%(page)s, 3, 5)",
                 {"page": page}),
        Question("2 steps around the page, of persons within 7 days", AD_HOC,
                 "select * from mart.paths_around(%(page)s, within => '7 days')", {"page": page}),
        Question("2 steps around an error", AD_HOC, "select * from mart.paths_around(%(error)s, kind => 'error')",
                 {"error": error}),
        Question("between two pages", AD_HOC, "select * from mart.paths_between(%(start)s, %(end)s, 10)",
                 NODES, _between, "between"),
        Question("three steps in a session", AD_HOC, "select * from mart.paths_steps(%(nodes)s)",
                 {"nodes": [NODES["first"], NODES["second"], NODES["third"]]}, _steps, "steps"),
        Question("next pages with time stayed", AD_HOC, "select * from mart.paths_next(%(page)s)",
                 {"page": page}, _next, "next"),
        Question("edges by day", AD_HOC, edges, {}, _edges, "edges"),
        Question("a defined funnel", KEPT, "select * from mart.funnel('FN-BENCH')", {}, _funnel, "funnel"),
        Question("the same funnel drawn up on the spot", AD_HOC, None, {}, _funnel, "funnel"),
        Question("weekly retention as defined", KEPT, "select * from mart.retention_cells('CH-LOGIN-WEEK')", {},
                 _retention, "retention"),
        Question("the same by month, unbounded", AD_HOC,
                 "select * from mart.retention_cells('CH-LOGIN-WEEK', 'month', 'unbounded')", {}),
        Question("key numbers by day", KEPT, "select * from mart.session_daily", {}),
        *(
            Question(title, KEPT, "select * from mart.timeline where customer_id = %(customer)s order by happened_at",
                     {"customer": who})
            for title, who in (
                ("the timeline of a customer with more sessions than 95 of 100", customer),
                ("that of the customer with the most", busiest),
            )
        ),
    ]  # fmt: skip
    return known, page


def _one(connection: psycopg.Connection, query: LiteralString) -> Any:
    row = connection.execute(query).fetchone()
    if row is None:
        raise SystemExit("the mart is empty")
    return row[0]


# ── our answers in a form to compare ──


def _main(rows: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter({(step, source, target): n for step, source, target, n, *_ in rows if source != "이탈"})


def _around(rows: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter({tuple(row[:3]): row[3] for row in rows})


def _between(rows: list[tuple[Any, ...]]) -> list[int]:
    return sorted(row[1] for row in rows)  # which of equally frequent ways are named is open


def _steps(rows: list[tuple[Any, ...]]) -> list[int]:
    return [row[3] for row in rows]


def _next(rows: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter({(row[0],): row[1] for row in rows})


def _edges(rows: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for *edge, visits in rows:
        found[tuple(edge)] += visits  # nodes of two kinds may share a code
    return found


def _funnel(rows: list[tuple[Any, ...]]) -> list[int]:
    return [row[3] for row in rows]


def _retention(rows: list[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    return Counter(
        {((start - MONDAY) // timedelta(7), age): returned for start, age, _, returned, _ in rows if returned}
    )


def peer_answer(question: str, rows: list[list[Any]], codes: dict[int, str]) -> Any:
    """What a peer says, in the same form; 0 stands for what is outside of a session."""
    if question == "between":
        return sorted(row[0] for row in rows if row[0])
    if question in {"steps", "funnel"}:
        return [row[0] for row in rows]
    if question == "retention":
        return Counter({tuple(row[:2]): row[2] for row in rows})
    found: Counter[tuple[Any, ...]] = Counter()
    for row in rows:
        if question == "next":
            found[codes.get(row[0], "이탈"),] += row[1]
            continue
        place, source, target, sessions = row
        outside = "유입" if question == "around" and place < 0 else "이탈"
        found[place, codes.get(source, outside), codes.get(target, outside)] += sessions
    return found


# ── measuring ──


def main() -> None:
    """Run what the arguments ask for and write the results file."""
    arguments = argparse.ArgumentParser(
        prog="scripts/bench engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--millions", type=float, nargs="+", default=[1.0], help="events, in millions")
    arguments.add_argument("--repeats", type=int, default=20, help="how often each question is put")
    arguments.add_argument("--home", type=Path, help="keep the warehouse here; one that is there is taken as it is")
    arguments.add_argument("--only-ours", action="store_true", help="leave the peers out")
    arguments.add_argument("--dry", action="store_true", help="print the results, write no file")
    given = arguments.parse_args()
    if given.home and len(given.millions) > 1:
        arguments.error("--home keeps one warehouse: give one number of --millions")
    busy = os.getloadavg()[0]
    sections = [_section(given, millions) for millions in given.millions]
    text = (
        f"# Analyses\n\n{machine('scripts/bench engine')}; load average {busy:.1f} before the start. Each question "
        f"once for the answer, then up to {given.repeats} times for the clock: median, and the time that 95 of 100 "
        "answers stay under. Ours over one open connection. The peers have the same events, of the same mart, as "
        "numbers in tables of their own, in the order that suits them; they compute everything from these. Answers "
        "that can be compared are equal, or the run fails; those of retentioneering have another shape.\n\n"
        + "\n".join(sections)
    )  # fmt: skip
    print(text)
    if not given.dry:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(text + "\n", encoding="utf-8")


def _section(given: argparse.Namespace, millions: float) -> str:
    with tempfile.TemporaryDirectory(prefix="journeymart-bench-") as name, server(given.home) as settings:
        folder = Path(name)
        definitions = _definitions(folder / "definitions", funnels=1)
        with connect("jm_builder", settings=settings, autocommit=True) as connection:
            is_filled = _one(connection, "select to_regclass('mart.session_fact') is not null")
        if not is_filled:
            _fill(settings, folder, millions, definitions)
        ours, page = _ours(settings, folder, given.repeats)
        peers = {} if given.only_ours else _peers(settings, folder, ours, page, given, millions)
        return _table(millions, settings, ours, peers) + _back_fills(settings, folder)


def _definitions(folder: Path, *, funnels: int) -> Path:
    """The shipped definitions with so many funnels of the bench: the first is the one that is asked about."""
    folder.mkdir(exist_ok=True)
    shipped = yaml.safe_load((REPO / "dbt_project" / "definitions" / "funnels.yml").read_text(encoding="utf-8"))
    items = [_funnel_definition("FN-BENCH", "1d")]
    # as long a window for each as makes no difference, or the hundredth would find more than the tenth
    items += [_funnel_definition(f"FN-BENCH-{number}", f"{1440 + number}m") for number in range(2, funnels + 1)]
    (folder / "funnels.yml").write_text(json.dumps({"funnels": [*shipped["funnels"], *items]}), encoding="utf-8")
    return folder


def _funnel_definition(funnel_id: str, window: str) -> dict[str, Any]:
    steps = [{"name": page, "source": "screen", "where": {"page_code": page}} for page in FUNNEL_PAGES]
    return {
        "id": funnel_id, "label": {"ko": "측정", "en": "Measured"}, "owner": "bench", "window": window, "entry": "best",
        "steps": steps,
    }  # fmt: skip


def _fill(settings: Settings, folder: Path, millions: float, definitions: Path) -> None:
    bank = folder / "bank"
    _say(f"making {millions:g} million events")
    subprocess.run(
        [sys.executable, "-m", "journeymart.cli", "sample", "--out", str(bank), "--format", "ndjson",
         "--events", str(int(millions * 1e6)), "--days", str(DAYS)],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _say("filling the mart")
    pipeline.run(settings, bank, definitions=definitions)
    shutil.rmtree(bank)


def _say(line: str) -> None:
    print(f"{time.strftime('%X')} {line}", file=sys.stderr, flush=True)


def _ours(settings: Settings, folder: Path, repeats: int) -> tuple[list[Answered], str]:
    """Each question with its seconds and its answer, and the page that is visited most."""
    draft = folder / "draft.yml"
    draft.write_text(json.dumps({"funnels": [_funnel_definition("FN-DRAFT", "1d")]}), encoding="utf-8")
    found = []
    with connect("jm_builder", settings=settings) as builder:
        known, page = questions(builder)
    with connect("jm_dashboard", settings=settings, autocommit=True) as connection:

        def ask(question: Question) -> list[tuple[Any, ...]]:
            if question.query is None:
                return adhoc.funnel(settings, draft, Scope()).rows
            return connection.execute(question.query, question.arguments).fetchall()

        for question in known:
            rows = ask(question)
            seconds = []
            for _ in range(repeats):
                begun = time.perf_counter()
                ask(question)
                seconds.append(time.perf_counter() - begun)
                if sum(seconds) > 20:  # noqa: PLR2004 - seconds that one question may cost
                    break
            _say(f"{question.title}: {statistics.median(seconds) * 1000:.1f} ms, {len(rows)} rows")
            found.append((question, seconds, question.comparable(rows) if question.comparable else None))
    return found, page


Peers = dict[str, dict[str, list[float]]]


def _peers(
    settings: Settings, folder: Path, ours: list[Answered], page: str, given: argparse.Namespace, millions: float
) -> Peers:
    """Seconds of each peer by question; exits if an answer is another than ours."""
    with connect("jm_builder", settings=settings) as connection:
        codes: dict[int, str] = dict(connection.execute("select node_id, code from raw.node").fetchall())
        _export(connection, folder)
    ids = {code: node_id for node_id, code in codes.items()}
    names = {**NODES, "page": page, **{f"f{place}": code for place, code in enumerate(FUNNEL_PAGES, start=1)}}
    nodes = {name: ids[code] for name, code in names.items()}
    (folder / "questions.json").write_text(json.dumps({"nodes": nodes, "repeats": given.repeats, "at_most": 20}))
    python = Path(os.environ.get("JOURNEYMART_VENVS", REPO / ".venvs")) / "bench" / "bin" / "python"
    result: Peers = {}
    for engine in PEERS:
        if engine == "retentioneering" and millions > IN_MEMORY_LIMIT:
            continue
        _say(f"asking {engine}")
        shown = subprocess.run(
            [str(python), str(Path(__file__).with_name("bench_peers.py")), engine, str(folder)],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout  # fmt: skip
        answers = json.loads(shown.splitlines()[-1])
        result[engine] = {name: found["seconds"] for name, found in answers.items()}
        for question, _, own in ours:
            answer = answers.get(question.peer, {}).get("answer")
            if answer is not None and peer_answer(str(question.peer), answer, codes) != own:
                theirs = peer_answer(str(question.peer), answer, codes)
                raise SystemExit(f"{engine} answers {question.title} otherwise:\n{_difference(own, theirs)}")
    return result


def _difference(own: Any, theirs: Any) -> str:
    if isinstance(own, Counter):
        away, more = dict(own - theirs), dict(theirs - own)
        return f"only ours: {list(away.items())[:5]}\nonly theirs: {list(more.items())[:5]}"
    return f"ours: {own}\ntheirs: {theirs}"


def _export(connection: psycopg.Connection, folder: Path) -> None:
    _say("exporting the events")
    connection.execute(
        "create temporary table numbered as select visitor_key, started_at, session_date,"
        " (extract(epoch from ended_at) * 1000)::bigint as ended_ms,"
        " (row_number() over (order by visitor_key, started_at))::integer as session_no from mart.session_fact"
    )
    connection.execute("analyze numbered")
    for table, query in EXPORTS.items():
        target = folder / f"{table}.csv"
        with (
            target.open("wb") as file,
            connection.cursor().copy(
                sql.SQL("copy ({}) to stdout (format csv, header)").format(sql.SQL(query))
            ) as copy,
        ):
            for block in copy:
                file.write(block)
        duckdb.execute(f"copy (from read_csv('{target}')) to '{folder / f'{table}.parquet'}' (format parquet)")
        target.unlink()


# ── a definition more ──


def _back_fills(settings: Settings, folder: Path) -> str:
    """What a new funnel costs when nothing has landed, after ten and after a hundred definitions."""
    lines = ["| definitions applied | one funnel more: wall s | of it in models s |", "|---|---:|---:|"]
    nothing = folder / "nothing"
    nothing.mkdir()
    for applied in (10, 99):
        pipeline.run(settings, nothing, definitions=_definitions(folder / f"with-{applied}", funnels=applied))
        begun = time.perf_counter()
        more = _definitions(folder / f"with-{applied + 1}", funnels=applied + 1)
        run = pipeline.run(settings, nothing, definitions=more)
        wall = time.perf_counter() - begun
        with connect("jm_builder", settings=settings) as connection:
            row = connection.execute(
                "select sum(seconds) from ops.model_result where run_id = %s", (run.run_id,)
            ).fetchone()
        lines.append(f"| {applied} | {wall:.1f} | {float(row[0]) if row and row[0] else 0:.1f} |")
        _say(lines[-1])
    return "\n".join([*lines, ""])


# ── the page ──


def _table(millions: float, settings: Settings, ours: list[Answered], peers: Peers) -> str:
    with connect("jm_dashboard", settings=settings) as connection:
        events, sessions = (
            _one(connection, query)
            for query in ("select count(*) from mart.session_event", "select count(*) from mart.session_fact")
        )
    lines = [
        f"## {millions:g} million events\n",
        f"{events:,} events of {sessions:,} sessions.\n",
        "| question | ours ms | 95 of 100 | target | " + " | ".join(f"{engine} ms" for engine in PEERS)
        + " | ours ÷ ClickHouse |",
        "|---|---:|---:|---|" + "---:|" * (len(PEERS) + 1),
    ]  # fmt: skip
    for question, seconds, _ in ours:
        own, high = statistics.median(seconds), _high(seconds)
        theirs = [
            statistics.median(found) if (found := peers.get(e, {}).get(str(question.peer))) else None for e in PEERS
        ]
        met = "met" if high <= question.limit else "missed"
        lines.append(
            f"| {question.title} | {own * 1000:.1f} | {high * 1000:.1f} | {question.limit * 1000:.0f}: {met} | "
            + " | ".join("" if value is None else f"{value * 1000:.1f}" for value in theirs)
            + f" | {'' if theirs[0] is None else format(own / theirs[0], '.2f')} |"
        )
    loads = ", ".join(f"{engine} {peers[engine]['load'][0]:.1f} s" for engine in peers)
    return "\n".join([*lines, "", f"Loading the events: {loads}.\n" if loads else "", ""])


def _high(seconds: Sequence[float]) -> float:
    return sorted(seconds)[min(len(seconds) - 1, round(len(seconds) * 0.95))]


if __name__ == "__main__":
    main()
