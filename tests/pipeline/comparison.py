"""What two warehouses, or two states of one, have in common: relations as sorted lists of rows, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from journeymart.db import connect
from journeymart.settings import Settings

Rows = list[tuple[Any, ...]]
State = dict[str, Rows]

# About files, lines and publications, so different for every way of landing the same history.
RELATIONS_ABOUT_ARRIVAL = {
    "line_duplicate", "line_bot", "file_balance", "data_status", "publication_latest", "landed_file",
    "publication_check",
    "quarantine_reason", "arrival", "detection_hit", "audience_change", "audience_member", "audience_export",
    "audience_effect", "restatement",
}  # fmt: skip
COLUMNS_ABOUT_ARRIVAL = {"run_id", "loaded_at", "modified_at", "publication_id", "repeat_of", "revision",
                         "identity_version", "session_policy_version"}  # fmt: skip
# Numbers given out as things arrive; the names they stand for are compared instead.
GIVEN_ON_ARRIVAL = {
    "file_id",
    "line_no",
    "row_id",
    "error_keys",
    "step_rows",
    "of_row_id",
    "node_id",
    "next_node_id",
    "entry_node_id",
    "exit_node_id",
}

# Stored as one character per node, blank where there is none.
PATHS = {("session_fact", "path"), ("path_count", "path"), ("path_move", "path"), ("path_around", "path")}
PATH = sql.SQL("""(
    select string_agg(coalesce(n.kind || ':' || n.code, ''), ' > ' order by c.step_no)
    from string_to_table(path, null) with ordinality as c (node_char, step_no)
    left join raw.node as n on n.node_id = raw.char_node(c.node_char)
)""")
FILE_OF_ROW = sql.SQL("(select f.path from raw.file as f where f.file_id = row_id >> 32)")
LINE_OF_ROW = sql.SQL("row_id & 4294967295")


def mart_by_name(settings: Settings) -> State:
    """Every relation of mart without what depends on the order of arrival: names instead of keys."""
    with connect("jm_builder", settings=settings) as connection:
        return {
            name: _rows(connection, "mart", name, _named(name, columns))
            for name, columns in _relations(connection, "mart", "r", "v").items()
            if name not in RELATIONS_ABOUT_ARRIVAL
        }


def mart_tables(settings: Settings) -> State:
    """Every stored table of mart with all its columns."""
    with connect("jm_builder", settings=settings) as connection:
        return {
            name: _rows(connection, "mart", name, map(sql.Identifier, columns))
            for name, columns in _relations(connection, "mart", "r").items()
        }


def raw_by_name(settings: Settings) -> State:
    """Every table of raw: rows with their file and line, without keys of dictionaries, runs and times of loading."""
    with connect("jm_builder", settings=settings) as connection:
        return {
            name: _rows(
                connection, "raw", name,
                [*_named(name, columns), *((FILE_OF_ROW, LINE_OF_ROW) if "row_id" in columns else ())],
            )
            for name, columns in _relations(connection, "raw", "r").items()
        }  # fmt: skip


def differences(left: State, right: State) -> dict[str, Any]:
    """Relations that differ, with the number of rows of each side and the first rows that only one side has."""
    found = {}
    for name in sorted(left.keys() | right.keys()):
        ours, theirs = Counter(left.get(name, [])), Counter(right.get(name, []))
        if ours != theirs or (name in left) != (name in right):
            only = [sorted((one - other).elements(), key=str)[:2] for one, other in ((ours, theirs), (theirs, ours))]
            found[name] = {"rows": (ours.total(), theirs.total()), "only left": only[0], "only right": only[1]}
    return found


def _named(name: str, columns: list[str]) -> list[sql.Composable]:
    return [
        PATH if (name, column) in PATHS else sql.Identifier(column)
        for column in columns
        if column not in GIVEN_ON_ARRIVAL | COLUMNS_ABOUT_ARRIVAL and not column.endswith("_key")
    ]


def _relations(connection: psycopg.Connection, schema: str, *kinds: str) -> dict[str, list[str]]:
    """Names and columns of tables (r) and views (v)."""
    return dict(
        connection.execute(
            "select c.relname, array_agg(a.attname::text order by a.attnum) from pg_class as c"
            " inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped"
            " where c.relnamespace = %s::regnamespace and c.relkind = any(%s::text[]) group by 1",
            (schema, list(kinds)),
        ).fetchall()
    )


def _rows(connection: psycopg.Connection, schema: str, name: str, values: Iterable[sql.Composable]) -> Rows:
    selected = sql.SQL(", ").join(sql.SQL("({})::text").format(value) for value in values)
    query = sql.SQL("select {} from {}").format(selected, sql.Identifier(schema, name))
    return sorted(connection.execute(query).fetchall(), key=str)
