"""One other engine answers the questions of scripts/bench engine; runs in the environment `bench`, not in ours.

bench_peers.py ENGINE FOLDER: reads step.parquet, session.parquet, event.parquet and questions.json from FOLDER, prints
a JSON object: name → {"seconds": [...], "answer": rows or null}. Everything is loaded before the first question is put.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Rows = list[list[Any]]
Ask = Callable[[], Rows | None]

# step: session_no, step_no, at_ms, node_id. session: session_no, session_date, ended_ms.
# event: person_key, at_ms, row_id, node_id, week (its number).
DUCKDB = {
    "main": """
        select step_no, node_id, coalesce(next_id, 0), count(*) from (
            select step_no, node_id, lead(node_id) over (partition by session_no order by step_no) as next_id
            from step where step_no <= 6
        ) where step_no <= 5 group by all""",
    "around": """
        with place as (select session_no, min(step_no) as p from step where node_id = {page} group by 1),
        near as (
            select
                session_no,
                coalesce(max(node_id) filter (step_no = p - 2), 0) as a,
                coalesce(max(node_id) filter (step_no = p - 1), 0) as b,
                coalesce(max(node_id) filter (step_no = p + 1), 0) as c,
                coalesce(max(node_id) filter (step_no = p + 2), 0) as d
            from step inner join place using (session_no) where step_no between p - 2 and p + 2 group by 1
        )
        select -2, a, b, count(*) from near group by all union all
        select -1, b, {page}, count(*) from near group by all union all
        select 0, {page}, c, count(*) from near group by all union all
        select 1, c, d, count(*) from near group by all""",
    "between": """
        with a as (select session_no, min(step_no) as p from step where node_id = {start} group by 1),
        b as (
            select session_no, p, min(step_no) as q from step inner join a using (session_no)
            where node_id = {end} and step_no > p group by all
        ),
        way as (
            select list(node_id order by step_no) as nodes, (max(at_ms) - min(at_ms)) / 1000 as seconds
            from step inner join b using (session_no) where step_no between p and q group by session_no
        ),
        ranked as (
            select count(*) as sessions, median(seconds), row_number() over (order by count(*) desc) as place
            from way group by nodes
        )
        select sessions from ranked where place <= 10 union all
        select sum(sessions)::bigint from ranked where place > 10 union all
        select (select count(*) from a) - (select count(*) from b)""",
    "steps": """
        with a as (select session_no, min(step_no) as p from step where node_id = {first} group by 1),
        b as (
            select session_no, min(step_no) as p from step inner join a using (session_no)
            where node_id = {second} and step_no > p group by all
        ),
        c as (
            select session_no from step inner join b using (session_no)
            where node_id = {third} and step_no > p group by all
        )
        select count(*) from a union all select count(*) from b union all select count(*) from c""",
    "next": """
        select coalesce(next_id, 0), count(*), median(left_ms - at_ms) from (
            select
                node_id, at_ms, lead(node_id) over following as next_id,
                coalesce(lead(at_ms) over following, ended_ms) as left_ms
            from step inner join session using (session_no)
            where session_no in (select session_no from step where node_id = {page})
            window following as (partition by session_no order by step_no)
        ) where node_id = {page} group by 1""",
    "edges": """
        select session_date::text, node_id, coalesce(next_id, 0), count(*) from (
            select
                session_no, step_no, node_id, lead(node_id) over (partition by session_no order by step_no) as next_id
            from step
        ) inner join session using (session_no) group by all""",
    "funnel": """
        with a as (
            select *, max(case when node_id = {f1} then at_ms end) over history as l1 from event
            where node_id in ({f1}, {f2}, {f3}, {f4}, {f5})
            window history as (partition by person_key order by at_ms, row_id)
        ),
        b as (
            select *, max(case when node_id = {f2} and at_ms - l1 <= 86400000 then l1 end) over history as l2 from a
            window history as (partition by person_key order by at_ms, row_id)
        ),
        c as (
            select *, max(case when node_id = {f3} and at_ms - l2 <= 86400000 then l2 end) over history as l3 from b
            window history as (partition by person_key order by at_ms, row_id)
        ),
        d as (
            select *, max(case when node_id = {f4} and at_ms - l3 <= 86400000 then l3 end) over history as l4 from c
            window history as (partition by person_key order by at_ms, row_id)
        ),
        e as (
            select
                max(l1) as l1, max(l2) as l2, max(l3) as l3, max(l4) as l4,
                max(case when node_id = {f5} and at_ms - l4 <= 86400000 then 1 end) as l5
            from d group by person_key
        )
        select unnest([count(l1), count(l2), count(l3), count(l4), count(l5)]) from e""",
    "retention": """
        with active as (
            select person_key, week, count(*) > 1 as again from event where node_id = {login} group by all
        )
        select s.week, r.week - s.week, count(*) from active as s
        inner join active as r on r.person_key = s.person_key and r.week between s.week and s.week + 12
        where r.week > s.week or r.again group by all""",
}
PATH = """
    select session_no, arraySort(x -> x.1, groupArray((step_no, node_id, at_ms))) as steps,
        arrayMap(x -> x.2, steps) as w, arrayMap(x -> x.3, steps) as times
    from step group by session_no"""
CLICKHOUSE = {
    "main": """
        select i, w[i], w[i + 1], count() from (
            select arrayMap(x -> x.2, arraySort(groupArray((step_no, node_id)))) as w
            from step where step_no <= 6 group by session_no
        ) array join arraySlice(arrayEnumerate(w), 1, 5) as i group by 1, 2, 3""",
    "around": """
        select
            o, if(p + o between 1 and length(w), w[greatest(p + o, 1)], 0) as f,
            if(p + o + 1 between 1 and length(w), w[greatest(p + o + 1, 1)], 0) as t, count()
        from (
            select arrayMap(x -> x.2, arraySort(groupArray((step_no, node_id)))) as w,
                toInt32(indexOf(w, {page})) as p
            from step group by session_no having p > 0
        ) array join [-2, -1, 0, 1] as o group by 1, 2, 3""",
    "between": """
        with begun as (
            select indexOf(w, {start}) as p, indexOf(arraySlice(w, p + 1), {end}) as n,
                arraySlice(w, p, n + 1) as way, (times[p + n] - times[p]) / 1000 as seconds
            from ({path}) where has(w, {start})
        ),
        ranked as (
            select count() as sessions, quantileExactInclusive(0.5)(seconds), row_number() over (order by sessions desc)
                as place
            from begun where n > 0 group by way
        )
        select sessions from ranked where place <= 10 union all
        select sum(sessions) from ranked where place > 10 union all
        select countIf(n = 0) from begun""",
    "steps": """
        select arrayJoin([countIf(a > 0), countIf(a > 0 and b > 0), countIf(a > 0 and b > 0 and c > 0)]) from (
            select arrayMap(x -> x.2, arraySort(groupArray((step_no, node_id)))) as w, indexOf(w, {first}) as a,
                indexOf(arraySlice(w, a + 1) as u, {second}) as b, indexOf(arraySlice(u, b + 1), {third}) as c
            from step group by session_no
        )""",
    "next": """
        select w[i + 1], count(), quantileExactInclusive(0.5)(if(i = length(w), ended_ms, times[i + 1]) - times[i])
        from ({path} having has(w, {page})) as s inner join session using (session_no)
        array join arrayFilter(x -> w[x] = {page}, arrayEnumerate(w)) as i group by 1""",
    "edges": """
        select toString(session_date), w[i], w[i + 1], count() from (
            select session_no, arrayMap(x -> x.2, arraySort(groupArray((step_no, node_id)))) as w
            from step group by session_no
        ) as s inner join session using (session_no)
        array join arrayEnumerate(w) as i group by 1, 2, 3""",
    "funnel": """
        select arrayJoin([countIf(l >= 1), countIf(l >= 2), countIf(l >= 3), countIf(l >= 4), countIf(l >= 5)]) from (
            select windowFunnel(86400000)(
                toUInt64(at_ms), node_id = {f1}, node_id = {f2}, node_id = {f3}, node_id = {f4}, node_id = {f5}
            ) as l
            from event where node_id in ({f1}, {f2}, {f3}, {f4}, {f5}) group by person_key
        )""",
    "retention": """
        with active as (select person_key, week, count() > 1 as again from event where node_id = {login} group by 1, 2)
        select s.week, toInt32(r.week) - s.week as age, count() from active as s
        inner join active as r on r.person_key = s.person_key
        where age between 0 and 12 and (age > 0 or r.again) group by 1, 2""",
}  # fmt: skip


def duckdb_questions(folder: Path, nodes: dict[str, int]) -> dict[str, Ask]:
    """DuckDB with the tables in a database file."""
    import duckdb  # noqa: PLC0415 - each process loads one engine

    connection = duckdb.connect(str(folder / "peer.duckdb"))
    for table in ("step", "session", "event"):
        connection.execute(f"create table {table} as from read_parquet('{folder}/{table}.parquet')")

    def ask(query: str) -> Rows:
        return [list(row) for row in connection.execute(query).fetchall()]

    return {name: partial(ask, query.format(**nodes)) for name, query in DUCKDB.items()}


def clickhouse_questions(folder: Path, nodes: dict[str, int]) -> dict[str, Ask]:
    """ClickHouse within a process, with MergeTree tables in the order that suits the questions."""
    from chdb import session  # noqa: PLC0415 - each process loads one engine

    database = session.Session(str(folder / "peer.clickhouse"))
    database.query("create database bench engine = Atomic")
    database.query("use bench")
    orders = {"step": "session_no, step_no", "session": "session_no", "event": "person_key, at_ms, row_id"}
    for table, order in orders.items():
        database.query(
            f"create table {table} engine = MergeTree order by ({order}) as select *"  # noqa: S608 - names of our own
            f" from file('{folder}/{table}.parquet') settings schema_inference_make_columns_nullable = 0"
        )

    def ask(query: str) -> Rows:
        text = database.query(f"{query} settings optimize_aggregation_in_order = 1", "JSONCompact").bytes()
        return [[_number(value) for value in row] for row in json.loads(text)["data"]]

    return {name: partial(ask, query.format(path=PATH, **nodes)) for name, query in CLICKHOUSE.items()}


def retentioneering_questions(folder: Path, nodes: dict[str, int]) -> dict[str, Ask]:
    """retentioneering on a frame in memory. Its answers have another shape and are not compared."""
    os.environ["RETENTIONEERING_NO_TRACK"] = "1"
    import pandas as pd  # noqa: PLC0415 - each process loads one engine
    from retentioneering import Eventstream  # noqa: PLC0415 - each process loads one engine

    frame = pd.read_parquet(folder / "step.parquet").sort_values(["session_no", "step_no"])
    frame = pd.DataFrame({
        "user_id": frame["session_no"], "event": frame["node_id"].astype(str),
        "timestamp": pd.to_datetime(frame["at_ms"], unit="ms"),
    })  # fmt: skip
    stream = Eventstream(frame)

    def shown(call: Callable[[], object]) -> Ask:
        def ask() -> None:
            call()

        return ask

    page = str(nodes["page"])
    return {
        "main": shown(lambda: stream.step_sankey_data(max_steps=6)),
        "around": shown(lambda: stream.step_sankey_data(max_steps=2, anchor=page)),
        "edges": shown(lambda: stream.transition_graph_data(edge_weight="count")),
        "steps": shown(lambda: stream.funnel_data([str(nodes[name]) for name in ("first", "second", "third")])),
    }


def _number(value: Any) -> Any:
    """64-bit numbers come as text in ClickHouse's JSON."""
    return int(value) if isinstance(value, str) and value.lstrip("-").isdigit() else value


def main() -> None:
    """Load, ask each question once for the answer and then a few times for the clock."""
    engine, folder = sys.argv[1], Path(sys.argv[2])
    given = json.loads((folder / "questions.json").read_text())
    make = {
        "duckdb": duckdb_questions,
        "clickhouse": clickhouse_questions,
        "retentioneering": retentioneering_questions,
    }[engine]
    started = time.perf_counter()
    questions = make(folder, given["nodes"])
    result: dict[str, Any] = {"load": {"seconds": [time.perf_counter() - started], "answer": None}}
    for name, ask in questions.items():
        answer = ask()
        seconds = []
        for _ in range(given["repeats"]):
            begun = time.perf_counter()
            ask()
            seconds.append(time.perf_counter() - begun)
            if sum(seconds) > given["at_most"]:
                break
        result[name] = {"seconds": seconds, "answer": answer}
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    main()
