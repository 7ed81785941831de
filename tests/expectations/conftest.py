"""A small warehouse in which every rule holds: three landed files, three sessions, five transactions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from tests.conftest import Warehouses

from journeymart.db import connect
from journeymart.settings import REPO, Settings

MODELS = (
    "session_event", "session_fact", "transaction_fact", "session_daily", "path_count", "path_edge", "path_month",
    "path_move", "path_around",
    "line_duplicate", "line_bot", "file_balance", "funnel_entry", "funnel_step", "step_match", "step_daily", "consent",
    "audience_change", "audience_member", "audience_export",
)  # fmt: skip
RUN = "manual__2026-03-10T12-00-00"
DAY = "2026-03-10"
MONTH = "2026-03-01"
HOME, LIST, BUY = 1, 2, 3  # nodes
PATHS = [("web", (HOME, LIST, BUY, HOME), 1), ("web", (HOME,), 1), ("app", (LIST, BUY), 1)]
MOVES = [  # of these: channel, path, node_id, visits, stays
    ("web", (HOME, LIST), HOME, 1, [60.0]), ("web", (LIST, BUY), LIST, 1, [60.0]),
    ("web", (BUY, HOME), BUY, 1, [60.0]), ("web", (HOME,), HOME, 2, [0.0, 0.0]),
    ("app", (LIST, BUY), LIST, 1, [600.0]), ("app", (BUY,), BUY, 1, [0.0]),
]  # fmt: skip
AROUND = [  # of these: node_id, channel, step, path, sessions; 0 is outside of the session
    (HOME, "web", -2, (0, 0), 2), (HOME, "web", -1, (0, HOME), 2), (HOME, "web", 0, (HOME, LIST), 1),
    (HOME, "web", 0, (HOME, 0), 1), (HOME, "web", 1, (LIST, BUY), 1), (HOME, "web", 1, (0, 0), 1),
    (LIST, "web", -2, (0, HOME), 1), (LIST, "web", -1, (HOME, LIST), 1), (LIST, "web", 0, (LIST, BUY), 1),
    (LIST, "web", 1, (BUY, HOME), 1), (BUY, "web", -2, (HOME, LIST), 1), (BUY, "web", -1, (LIST, BUY), 1),
    (BUY, "web", 0, (BUY, HOME), 1), (BUY, "web", 1, (HOME, 0), 1), (LIST, "app", -2, (0, 0), 1),
    (LIST, "app", -1, (0, LIST), 1), (LIST, "app", 0, (LIST, BUY), 1), (LIST, "app", 1, (BUY, 0), 1),
    (BUY, "app", -2, (0, LIST), 1), (BUY, "app", -1, (LIST, BUY), 1), (BUY, "app", 0, (BUY, 0), 1),
    (BUY, "app", 1, (0, 0), 1),
]  # fmt: skip
EDGES = [  # of the paths of the day: channel, step_no, from_node, to_node, sessions
    ("web", 1, "HOME", "LIST", 1), ("web", 1, "HOME", "이탈", 1), ("app", 1, "LIST", "BUY", 1),
    ("web", 2, "LIST", "BUY", 1), ("app", 2, "BUY", "이탈", 1), ("web", 3, "BUY", "HOME", 1),
    ("web", 4, "HOME", "이탈", 1),
]  # fmt: skip


def line(file_id: int, line_no: int) -> int:
    """row_id of a line."""
    return file_id << 32 | line_no


def at(minute: int, hour: int = 10) -> str:
    return f"{DAY} {hour:02}:{minute:02}:00+09"


@pytest.fixture(scope="session")
def settings(warehouses: Warehouses) -> Settings:
    created = warehouses.create()
    create_models(created)
    return created


def create_models(settings: Settings) -> None:
    """Tables and views as dbt leaves them after a full run; columns come from the models' own contracts."""
    contracts: dict[str, Any] = {}
    for path in (REPO / "dbt_project" / "models" / "marts").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", []):
            contracts[model["name"]] = model
    with connect("jm_builder", settings=settings) as connection:
        for name in MODELS:
            columns = ", ".join(f"{c['name']} {c['data_type']}" for c in contracts[name]["columns"])
            connection.execute(f"create table build.{name} ({columns})")
            connection.execute(f"create view next.{name} as table build.{name}")
            connection.execute(f"create table build.{name}_before ({columns})")
        connection.execute(
            "create table build.run_scope (run_id text, is_full boolean, watermark_at timestamptz);"
            "create table build.run_file (file_id integer);"
            "create table build.run_gone (file_id integer);"
            "create table build.run_erased (erased_row bigint);"
            "create table build.run_line (row_id bigint, is_single boolean);"
            "create table build.touched_date (session_date date)"
            ";create table build.int_funnel__date (funnel_id text, entry_date date)"
            ";create table build.int_funnel__subject (funnel_id text, subject_key integer)"
            ";create table build.int_step__node"
            " (node_id integer, action_id smallint, condition_id text, is_new boolean)"
            ";create table build.int_audience__scope (export_id text, purpose text, is_due boolean)"
            ";create table build.int_audience__change (export_id text, customer_key integer)"
        )


@pytest.fixture
def warehouse(settings: Settings) -> Iterator[psycopg.Connection]:
    """An administrator's connection (autocommit) to the warehouse in its sound state."""
    with connect("jm_admin", settings=settings, autocommit=True) as connection:
        with connection.transaction():
            fill(connection)
        yield connection


def fill(connection: psycopg.Connection) -> None:
    tables = connection.execute(
        "select string_agg(format('%I.%I', schemaname, tablename), ', ') from pg_tables"
        " where schemaname in ('raw', 'ops', 'config', 'build') and tablename <> 'action'"
    ).fetchone()
    assert tables
    connection.execute(f"truncate {tables[0]} restart identity cascade")

    def insert(table: str, columns: str, *rows: tuple[Any, ...]) -> None:
        marks = ", ".join(["%s"] * len(rows[0]))
        override = " overriding system value" if table.startswith("raw.") else ""
        with connection.cursor() as cursor:
            cursor.executemany(f"insert into {table} ({columns}){override} values ({marks})", rows)  # noqa: S608

    insert("ops.run", "run_id, scope, files, status", (RUN, "all", 3, "built"))
    insert(
        "config.definition", "kind, definition_id, version, content",
        ("sessions", "sessions", 1, '{"time_zone": "Asia/Seoul", "path_depth": 10}'),
        ("funnels", "FN-1", 1, '{"count_by": "person", "order": "ordered", "exclusion_mode": "end_attempt", "hold": [],'
         ' "steps": [{"name": "a", "condition_id": "k1"}, {"name": "b", "condition_id": "k4", "optional": true},'
         ' {"name": "c", "condition_id": "k5"}]}'),
    )  # fmt: skip
    insert("raw.visitor", "visitor_key, visitor_id", (1, "v-1"), (2, "v-2"))
    insert("raw.customer", "customer_key, customer_id", (1, "c-1"), (2, "c-2"))
    insert(
        "raw.node", "node_id, kind, code, node",
        (HOME, "page", "HOME", "HOME"), (LIST, "page", "LIST", "LIST"), (BUY, "transaction", "BUY", "BUY"),
    )  # fmt: skip

    ledger = (
        "file_id, source, path, sha256, bytes, modified_at, format, rows_read, rows_loaded, totals, declared,"
        " first_event_at, last_event_at, status, run_id, loaded_at"
    )
    insert(
        "raw.file", ledger,
        (1, "clickstream", "clickstream/a.ndjson", "aa", 1, at(0), "ndjson", 7, 7, "{}", None,
         at(0), at(31, 11), "loaded", RUN, at(0, 12)),
        (2, "transactions", "transactions/a.csv", "bb", 1, at(0), "csv", 5, 5, '{"amount": "4811.0000"}',
         '{"rows": 5, "sha256": "BB", "totals": {"amount": "4811.00"}}', at(2), at(40, 11), "loaded", RUN, at(0, 12)),
        (3, "customers", "customers/a.csv", "cc", 1, at(0), "csv", 2, 2, "{}", None,
         None, None, "loaded", RUN, at(0, 12)),
    )  # fmt: skip
    for day in range(2, 10):  # eight days of published history, which this run does not touch
        when = f"2026-03-{day:02} 12:00:00+09"
        insert(
            "raw.file", ledger,
            (10 + day, "clickstream", f"clickstream/{day}", f"{day}", 1, when, "ndjson", 80, 80, "{}", None,
             when, when, "loaded", "earlier", when),
        )  # fmt: skip

    insert(  # the last two lines of a day come with the file of the day after
        "raw.file_day", "file_id, happened_on, rows_loaded",
        *((10 + day, f"2026-03-{day:02}", 78) for day in range(2, 10)),
        *((10 + day, f"2026-03-{day - 1:02}", 2) for day in range(2, 10)),
        (1, DAY, 5), (1, "2026-03-09", 2), (2, DAY, 5),
    )  # fmt: skip

    # lines 1-3: session of visitor 1; 4: a later one; 5: session of visitor 2; 6: a bot; 7: line 1 once more
    events = [
        (1, 1, HOME, at(0), None), (2, 1, LIST, at(1), None), (3, 1, HOME, at(3), None), (4, 1, HOME, at(0, 11), 1),
        (5, 2, LIST, at(30, 11), None), (6, 2, HOME, at(31, 11), None), (7, 1, HOME, at(0), None),
    ]  # fmt: skip
    insert(
        "raw.event", "row_id, event_at, event_hash, visitor_key, node_id, agent_key, error_key, action_id",
        *((line(1, no), when, no % 7 or 1, visitor, node, 1, error, 1) for no, visitor, node, when, error in events),
    )  # fmt: skip
    insert(
        "raw.clickstream", "row_id, event_id",
        *((line(1, no), "e-1" if no == 7 else f"e-{no}") for no, *_ in events),
    )  # fmt: skip
    transactions = [
        (1, "t-1", at(2), 1, "1000", "KRW"), (2, "t-2", at(20), 2, "10.5", "USD"), (3, "t-1", at(2), 1, "1000", "KRW"),
        (4, "t-4", at(40, 11), 2, "2500.5", None), (5, "t-5", at(25), 1, "300", "KRW"),
    ]  # fmt: skip
    insert(
        "raw.transactions", "row_id, transaction_id, transacted_at, customer_key, node_id, amount, currency",
        *((line(2, no), tid, when, who, BUY, *money) for no, tid, when, who, *money in transactions),
    )  # fmt: skip
    insert("raw.customers", "row_id, customer_key", (line(3, 1), 1), (line(3, 2), 2))

    hashes = {
        1: sum((no % 7 or 1) ^ microseconds(when) ^ no for no, _, _, when, _ in events),
        2: sum(
            md5_64(f"{no}|{tid}|{microseconds(when)}|{Decimal(amount):.4f}")
            for no, tid, when, _, amount, _ in transactions
        ),
        3: md5_64("1|c-1") + md5_64("2|c-2"),
    }
    for file_id, content_hash in hashes.items():
        connection.execute("update raw.file set content_hash = %s where file_id = %s", (content_hash, file_id))

    insert("build.run_scope", "run_id, is_full, watermark_at", (RUN, True, at(40, 11)))
    insert("build.run_file", "file_id", (1,), (2,), (3,))
    insert("build.touched_date", "session_date", (DAY,))
    insert("build.line_duplicate", "row_id, of_row_id", (line(1, 7), line(1, 1)), (line(2, 3), line(2, 1)))
    insert("build.line_bot", "row_id, agent_key", (line(1, 6), 1))
    insert(
        "build.file_balance", "file_id, rows_mart, rows_duplicate, rows_bot", (1, 5, 1, 1), (2, 4, 1, 0), (3, 2, 0, 0)
    )
    insert(
        "build.session_event", "row_id, event_at, started_at, visitor_key, node_id, agent_key, event_no, action_id",
        (line(1, 1), at(0), at(0), 1, HOME, 1, 1, 1), (line(1, 2), at(1), at(0), 1, LIST, 1, 2, 1),
        (line(1, 3), at(3), at(0), 1, HOME, 1, 3, 1), (line(1, 4), at(0, 11), at(0, 11), 1, HOME, 1, 1, 1),
        (line(1, 5), at(30, 11), at(30, 11), 2, LIST, 1, 1, 1),
    )  # fmt: skip
    fact = (
        "row_id, transaction_id, transacted_at, customer_key, node_id, is_failed, amount, currency, amount_krw,"
        " session_visitor_key, started_at"
    )
    insert(
        "build.transaction_fact", fact,
        (line(2, 1), "t-1", at(2), 1, BUY, False, "1000", "KRW", "1000", 1, at(0)),
        (line(2, 2), "t-2", at(20), 2, BUY, False, "10.5", "USD", "14700", None, None),
        (line(2, 4), "t-4", at(40, 11), 2, BUY, True, "2500.5", None, "2500.5", 2, at(30, 11)),
        (line(2, 5), "t-5", at(25), 1, BUY, False, "300", "KRW", "300", None, None),
    )  # fmt: skip
    insert(
        "build.session_fact",
        "visitor_key, started_at, ended_at, session_date, customer_key, events, pages, errors, transactions,"
        " failed_transactions, amount_krw, path, path_times, error_keys, error_steps",
        (1, at(0), at(3), DAY, 1, 3, 3, 0, 1, 0, "1000", _path(HOME, LIST, BUY, HOME), [at(0), at(1), at(2), at(3)],
         None, None),
        (1, at(0, 11), at(0, 11), DAY, None, 1, 1, 1, 0, 0, "0", _path(HOME), [at(0, 11)], [1], [1]),
        (2, at(30, 11), at(30, 11), DAY, 2, 1, 1, 0, 1, 1, "0", _path(LIST, BUY), [at(30, 11), at(40, 11)],
         None, None),
    )  # fmt: skip
    insert(
        "build.session_daily",
        "session_date, channel, sessions, events, pages, errors, converted_sessions, transactions, amount_krw",
        (DAY, "web", 2, 4, 4, 1, 1, 1, "1000"), (DAY, "app", 1, 1, 1, 0, 0, 1, "0"),
    )  # fmt: skip
    for name, dated, rows in (
        ("path_count", "session_date, channel, path, sessions", _on(DAY, PATHS)),
        ("path_move", "session_date, channel, path, node_id, visits, stays", _on(DAY, MOVES)),
        ("path_edge", "session_date, channel, step_no, from_node, to_node, sessions", _on(DAY, EDGES)),
        ("path_month", "path_month, channel, step_no, from_node, to_node, sessions", _on(MONTH, EDGES)),
        ("path_around", "path_month, node_id, channel, step, path, sessions", _on(MONTH, AROUND)),
    ):
        insert(f"build.{name}", dated, *rows)
    # two go all the way, one of them by the optional step; one dropped out and one may still go on
    insert("build.int_funnel__date", "funnel_id, entry_date", ("FN-1", DAY))
    insert(
        "build.funnel_entry", "funnel_id, subject_key, entry_date, breakdown, status, step_times",
        ("FN-1", 1, DAY, "all", "converted", [at(0), at(1), at(2)]),
        ("FN-1", 2, DAY, "all", "converted", [at(0), None, at(2)]),
        *(("FN-1", who, DAY, "all", status, [at(0), None, None]) for who, status in ((3, "dropped"), (4, "open"))),
    )  # fmt: skip
    insert("build.int_funnel__subject", "funnel_id, subject_key", *(("FN-1", who) for who in range(1, 6)))
    insert(
        "build.step_match", "condition_id, row_id, person_key",
        *(("k1", no, no) for no in range(1, 5)), ("k1", 9, 1), ("k2", 5, 5), ("k4", 6, 1), ("k5", 7, 1), ("k5", 8, 2),
    )  # fmt: skip
    # a condition of nothing but a page, and one of what is done there
    insert(
        "build.step_match", "condition_id, row_id, person_key, source_rank, visitor_key, started_at",
        ("k6", line(1, 2), 91, 0, 1, at(0)), ("k6", line(1, 5), 92, 0, 2, at(30, 11)),
        ("k7", line(1, 1), 91, 0, 1, at(0)),
    )  # fmt: skip
    connection.execute(
        "insert into build.int_step__node"
        " select %s, action_id, 'k6', false from raw.action union all select %s, 1, 'k7', false",
        (LIST, HOME),
    )
    insert(
        "build.step_daily", "condition_id, match_date, matches", ("k1", DAY, 3), ("k1", "2026-03-09", 2),
        *((condition, DAY, matches) for condition, matches in {"k2": 1, "k4": 1, "k5": 2, "k6": 2, "k7": 1}.items()),
    )  # fmt: skip
    insert(
        "build.funnel_step",
        "funnel_id, entry_date, breakdown, step_no, entered, converted, dropped, still_open",
        ("FN-1", DAY, "all", 1, 4, 2, 1, 1), ("FN-1", DAY, "all", 2, 1, 1, 0, 0), ("FN-1", DAY, "all", 3, 2, 2, 0, 0),
    )  # fmt: skip
    _fill_audience(insert)


def _fill_audience(insert: Callable[..., None]) -> None:
    """Of the two in the audience one is kept back; a third has gone."""
    insert("build.int_audience__scope", "export_id, purpose, is_due", ("AU-1", "marketing", True))
    insert("build.int_audience__change", "export_id, customer_key", ("AU-1", 2), ("AU-1", 3))
    insert(
        "build.consent", "row_id, customer_key, purpose, is_granted, valid_from, valid_to",
        *((who, who, "marketing", True, at(0), "9999-12-31 00:00:00+00") for who in (1, 2)),
    )  # fmt: skip
    insert(
        "build.audience_change", "export_id, export_no, customer_key, is_held_out, op, row_hash",
        ("AU-1", 1, 1, True, "I", "a"), ("AU-1", 1, 3, False, "I", "c"), ("AU-1", 2, 2, False, "I", "b"),
        ("AU-1", 2, 3, False, "D", "c"),
    )  # fmt: skip
    insert(
        "build.audience_member", "export_id, customer_key, is_held_out, row_hash",
        ("AU-1", 1, True, "a"), ("AU-1", 2, False, "b"),
    )  # fmt: skip
    insert("build.audience_export", "export_id, export_no, as_of, members, held_out", ("AU-1", 2, at(40, 11), 1, 1))


def microseconds(when: str) -> int:
    """Since 1970."""
    return int(datetime.fromisoformat(when).timestamp()) * 1_000_000


def md5_64(text: str) -> int:
    """The first 64 bits of the md5, signed."""
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], "big", signed=True)


def _on(begins: str, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows with their date; nodes as a path."""
    return [(begins, *(_path(*value) if isinstance(value, tuple) else value for value in row)) for row in rows]


def _path(*nodes: int) -> str:
    """A session's path: one character per node, as raw.node_char writes it; 0 is outside of the session."""
    return "".join(chr(19968 + node) if node else " " for node in nodes)


@pytest.fixture
def home(settings: Settings, tmp_path: Path) -> Settings:
    """The same database with a home of its own, so that results and pages start empty."""
    return replace(settings, home=tmp_path)
