"""Dictionaries: texts that repeat (visitors, pages, devices …) are stored once and referred to by a small integer.

Values are only ever added, in a short transaction of their own, in sorted order and only if they are missing. So
concurrent loaders cannot block each other, a key once seen is valid for ever, and no key numbers are wasted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Lock

import duckdb
import psycopg
import pyarrow as pa
from psycopg import sql

CACHED_KEYS = 1_000_000


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A dictionary table of schema raw: its key, and the columns a value consists of with their types."""

    table: str
    key: str
    columns: dict[str, str]
    identity: tuple[str, ...]  # the columns that tell values apart
    _adding: Lock = field(default_factory=Lock)  # of two threads one would add what the other has, and waste its keys

    def fill(
        self,
        engine: duckdb.DuckDBPyConnection,
        warehouse: psycopg.Connection,
        values: str,
        is_clean: Callable[[duckdb.DuckDBPyConnection, str, Iterable[str]], bool] | None = None,
    ) -> bool:
        """See that the DuckDB table `<table>_keys` has the key of every row of the query `values`.

        Returns False, having done nothing, if `is_clean` says no to the values that are new.
        `values` selects this dictionary's columns, distinct; what is new is added to the warehouse, which must be in
        autocommit mode. The table lasts as long as the engine and is emptied when it grows beyond CACHED_KEYS.
        """
        keys_table = f"{self.table}_keys"
        columns = ", ".join(f"{column} varchar" for column in self.columns)
        engine.execute(f"create temp table if not exists {keys_table} ({columns}, key integer)")
        if engine.execute(f"from {keys_table} select count(*)").fetchall()[0][0] > CACHED_KEYS:
            engine.execute(f"truncate {keys_table}")
        identity = ", ".join(self.identity)
        found = engine.sql(f"from ({values}) anti join {keys_table} using ({identity}) order by all").to_arrow_table()
        if not found.num_rows:
            return True
        if is_clean is not None:
            engine.register("found", found)
            clean = is_clean(engine, "found", [column for column in self.columns if column != "fingerprint"])
            engine.unregister("found")
            if not clean:
                return False
        with self._adding:
            keys = self._keys(warehouse, found)
        engine.register("filled", found.append_column("key", pa.array(keys, pa.int32())))
        engine.execute(f"insert into {keys_table} from filled")
        engine.unregister("filled")
        return True

    def forget(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Know no key any more."""
        engine.execute(f"drop table if exists {self.table}_keys")

    def _keys(self, warehouse: psycopg.Connection, found: pa.Table) -> list[int | None]:
        """The key of every row, after adding those that are missing."""
        keys: list[int | None] = [None] * found.num_rows
        identity = [found.column(column).to_pylist() for column in self.identity]
        self._look_up(warehouse, identity, keys)
        missing = [position for position, key in enumerate(keys) if key is None]
        if missing:
            added = self._add(warehouse, found.take(missing))
            for position in missing:
                keys[position] = added.get(tuple(column[position] for column in identity))
            if None in keys:  # another loader was faster
                self._look_up(warehouse, identity, keys)
        return keys

    def _look_up(self, warehouse: psycopg.Connection, identity: list[list[str]], keys: list[int | None]) -> None:
        """Set the key of every value that is known and has none yet."""
        open_positions = [position for position, key in enumerate(keys) if key is None]
        asked = [[values[position] for position in open_positions] for values in identity]
        query = sql.SQL(
            "select given.n, known.{key} from unnest({arrays}) with ordinality as given ({columns}, n)"
            " join raw.{table} as known using ({columns})"
        ).format(
            key=sql.Identifier(self.key),
            table=sql.Identifier(self.table),
            columns=self._names(self.identity),
            arrays=self._arrays(self.identity),
        )
        for number, key in warehouse.execute(query, asked, binary=True):
            keys[open_positions[number - 1]] = key

    def _add(self, warehouse: psycopg.Connection, values: pa.Table) -> dict[tuple[str, ...], int]:
        """Add values; the keys of those that were added, by identity."""
        query = sql.SQL(
            "insert into raw.{table} ({columns}) select {columns} from unnest({arrays}) as given ({columns})"
            " on conflict do nothing returning {key}, {identity}"
        ).format(
            table=sql.Identifier(self.table),
            columns=self._names(self.columns),
            arrays=self._arrays(self.columns),
            key=sql.Identifier(self.key),
            identity=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in self.identity),
        )
        given = [values.column(column).to_pylist() for column in self.columns]
        return {tuple(identity): key for key, *identity in warehouse.execute(query, given, binary=True)}

    def _names(self, columns: tuple[str, ...] | dict[str, str]) -> sql.Composed:
        return sql.SQL(", ").join(map(sql.Identifier, columns))

    def _arrays(self, columns: tuple[str, ...] | dict[str, str]) -> sql.Composed:
        return sql.SQL(", ").join(sql.SQL("%s::{}[]").format(sql.SQL(self.columns[column])) for column in columns)


VISITOR = Dictionary("visitor", "visitor_key", {"visitor_id": "text"}, ("visitor_id",))
CUSTOMER = Dictionary("customer", "customer_key", {"customer_id": "text"}, ("customer_id",))
NODE = Dictionary("node", "node_id", {"kind": "text", "code": "text", "node": "text"}, ("kind", "code", "node"))
AGENT_COLUMNS = ("channel", "domain", "os", "device_type", "device_model", "app_version", "user_agent")
INFLOW_COLUMNS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer_domain")
ERROR_COLUMNS = ("error_code", "error_page")


def _fingerprinted(table: str, columns: tuple[str, ...]) -> Dictionary:
    types = {"fingerprint": "uuid", **dict.fromkeys(columns, "text")}
    return Dictionary(table, f"{table}_key", types, ("fingerprint",))


AGENT = _fingerprinted("agent", AGENT_COLUMNS)
INFLOW = _fingerprinted("inflow", INFLOW_COLUMNS)
ERROR = _fingerprinted("error", ERROR_COLUMNS)
DICTIONARIES = (VISITOR, CUSTOMER, NODE, AGENT, INFLOW, ERROR)
