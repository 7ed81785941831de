"""What two warehouses, or two states of one, have in common: relations as sorted lists of rows, as text."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
from psycopg import sql

from journeymart.db import connect
from journeymart.settings import Settings

Rows = list[tuple[Any, ...]]
State = dict[str, Rows]

# About files, lines and publications, so different for every way of landing the same history.
ABOUT_ARRIVAL = {"line_duplicate", "line_bot", "file_balance", "data_status", "publication_latest"}
# Numbers that landing gives out in the order of arrival; the views show what they stand for.
GIVEN_ON_ARRIVAL = {"file_id", "line_no", "row_id", "of_row_id", "node_id", "entry_node_id", "exit_node_id"}
# A path is stored as one character per node.
NODES = """(
    select string_agg(n.kind || ':' || n.code, ' > ' order by c.step_no)
    from string_to_table(path, null) with ordinality as c (node_char, step_no)
    inner join raw.node as n on n.node_id = raw.char_node(c.node_char)
)"""


def mart_by_name(settings: Settings) -> State:
    """Every relation of mart without what depends on the order of arrival: names instead of keys."""
    with connect("jm_builder", settings=settings) as connection:
        return {
            name: _rows(connection, "mart", name, [column for column in columns if not _is_given_on_arrival(column)])
            for name, columns in _relations(connection, "mart", "r", "v").items()
            if name not in ABOUT_ARRIVAL
        }


def mart_tables(settings: Settings) -> State:
    """Every stored table of mart with all its columns."""
    with connect("jm_builder", settings=settings) as connection:
        return {name: _rows(connection, "mart", name, columns) for name, columns in _relations(connection, "mart", "r").items()}


def differences(left: State, right: State) -> dict[str, Any]:
    """Relations that differ, with how many rows only one side has, and two of them; empty when all are the same."""
    found: dict[str, Any] = {}
    for name in sorted(left.keys() | right.keys()):
        ours, theirs = left.get(name, []), right.get(name, [])
        if ours != theirs:
            only = [sorted((Counter(a) - Counter(b)).elements(), key=str) for a, b in ((ours, theirs), (theirs, ours))]
            found[name] = {"rows": (len(ours), len(theirs)), "only": [(len(rows), rows[:2]) for rows in only]}
    return found


def _is_given_on_arrival(column: str) -> bool:
    return column in GIVEN_ON_ARRIVAL or column.endswith("_key")


def _relations(connection: psycopg.Connection, schema: str, *kinds: str) -> dict[str, list[str]]:
    return dict(
        connection.execute(
            "select c.relname, array_agg(a.attname::text order by a.attnum) from pg_class as c"
            " inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
            " where c.relnamespace = %s::regnamespace and c.relkind = any(%s::text[]) group by 1",
            (schema, list(kinds)),
        ).fetchall()
    )


def _rows(connection: psycopg.Connection, schema: str, name: str, columns: list[str]) -> Rows:
    values = [
        sql.SQL(NODES) if (name, column) in {("session_fact", "path"), ("path_count", "path")} else sql.Identifier(column)
        for column in columns
    ]
    selected = sql.SQL(", ").join(sql.SQL("{}::text").format(value) for value in values)
    query = sql.SQL("select {} from {}").format(selected, sql.Identifier(schema, name))
    return sorted(connection.execute(query).fetchall(), key=str)
