"""The rows of a batch with their types, as DuckDB's relation `typed`.

They are held in Arrow, which DuckDB reads where it lies: a table of its own would be written with statistics for a life
of a second, and read again through them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from journeymart.landing.decode import ROW_ID, name

if TYPE_CHECKING:
    import duckdb

# So much of an Arrow table does one of DuckDB's threads take at a time; each time has its price.
THREAD_ROWS = 16384
MAX_CODE = 2**40  # times the rows of a batch it still is an integer of 64 bits


class Typed:
    """The relation `typed` of an engine. Its rows have a `row_id` each."""

    def __init__(self, engine: duckdb.DuckDBPyConnection) -> None:
        self._engine = engine
        self._rows = pa.table({})

    def fill(self, query: str) -> None:
        """Make it the rows of a query."""
        self._hold(self._engine.sql(query).to_arrow_table())

    def add(self, chunk: pa.Table, columns: Mapping[str, str], keys: Container[str]) -> None:
        """Add columns of the chunk whose rows these are, by the names they get; text is not copied for it.

        Empty ones become null, and of `keys` those of blanks alone.
        """
        rows = self._rows
        if rows.column("row_id") != chunk.column(ROW_ID):
            # A list of allowed values is a join for DuckDB, and when memory is short, a join returns rows in any order.
            places = pc.index_in(chunk.column(ROW_ID), rows.column("row_id").combine_chunks())
            if places.null_count or len(places) != rows.num_rows:
                raise AssertionError(f"{rows.num_rows} rows are not those of a chunk of {len(places)}")
            rows = rows.take(places)
        for column, of in columns.items():
            values = chunk.column(of)
            if pc.min(pc.binary_length(values)).as_py() == 0:
                values = pc.if_else(pc.equal(values, ""), None, values)
            if column in keys and pc.any(blank := pc.starts_with(values, " ")).as_py():
                blank = pc.and_(blank, pc.equal(pc.utf8_trim(values, " "), ""))
                values = pc.if_else(blank, None, values)
            rows = rows.append_column(column, values)
        self._hold(rows)

    def update(self, sets: Mapping[str, str], source: str, parameters: list[Any] | None = None) -> None:
        """Set columns to expressions over `source`, what follows `from`; it has each row that changes once."""
        listed = ", ".join(f"{expression} as {name(column)}" for column, expression in sets.items())
        changed = self._engine.sql(
            f"select typed.row_id, {listed} from {source}",  # noqa: S608 - quoted names
            params=parameters,
        ).to_arrow_table()
        if not changed.num_rows:
            return
        found = pc.index_in(self._rows.column("row_id"), changed.column("row_id").combine_chunks())
        rows = self._rows
        for column in sets:
            old = rows.column(column)
            new = pc.if_else(found.is_valid(), changed.column(column).cast(old.type).take(found), old)
            rows = rows.set_column(rows.schema.get_field_index(column), column, new)
        self._hold(rows)

    def distinct(self, column: str) -> pa.Array:
        """The values of a column of text, each once."""
        return pc.unique(self._rows.column(column)).drop_null()

    def replace(self, values: Mapping[str, Mapping[str, str]], derived: Mapping[str, str]) -> None:
        """Replace values of columns by others, and compute `derived` of the rows they are in anew."""
        rows, changed = self._rows, pa.scalar(False)
        for column, replaced in values.items():
            old, new = (pa.array(texts, pa.string()) for texts in (replaced.keys(), replaced.values()))
            found = pc.index_in(rows.column(column), old)
            changed = pc.or_(changed, found.is_valid())
            column_no = rows.schema.get_field_index(column)
            rows = rows.set_column(
                column_no,
                rows.schema.field(column_no),
                pc.if_else(found.is_valid(), new.take(found), rows.column(column)),
            )
        self._hold(rows)
        if derived:
            self._engine.register("changed", rows.filter(changed))
            self.update(derived, "changed as typed")
            self._engine.unregister("changed")

    def number(self, columns: Mapping[str, Sequence[str]]) -> None:
        """Make columns that number the rows without a problem by what other columns hold, and for each a relation of
        its name, of these numbers and what stands behind them.

        Text is grouped here and once, so that SQL need not do it again for every row.
        """
        rows = self._rows
        loaded = rows.column("problem").is_null().combine_chunks()
        for column, of in columns.items():
            codes, size = np.zeros(rows.num_rows, dtype=np.int64), 1
            for each in of:
                encoded = pc.dictionary_encode(rows.column(each), null_encoding="encode").combine_chunks()
                if size > MAX_CODE:
                    codes, size = np.unique(codes, return_inverse=True)[1], rows.num_rows
                codes *= len(encoded.dictionary)
                codes += encoded.indices.to_numpy()
                size *= len(encoded.dictionary)
            numbers = pc.if_else(loaded, codes, None).dictionary_encode()
            found, places = numbers.dictionary, numbers.indices.cast(pa.int64())
            examples = np.empty(len(found), dtype=np.int64)
            examples[places.drop_null().to_numpy()] = np.flatnonzero(loaded)
            values = rows.select(list(of)).take(pa.array(examples))
            self._engine.register(column, values.append_column(column, pa.array(np.arange(len(found)))))
            rows = rows.drop_columns(column) if column in rows.column_names else rows
            rows = rows.append_column(column, places)
        self._hold(rows)

    def clear(self) -> None:
        """Hold no rows, until it is filled again."""
        self._engine.unregister("typed")
        self._rows = pa.table({})

    def _hold(self, rows: pa.Table) -> None:
        self._rows = rows
        self._engine.register("typed", shared_out(rows))


def shared_out(table: pa.Table) -> pa.Table:
    """The same rows in portions, for several threads of DuckDB; of one portion they could use but one.

    A struct inside a struct is copied: DuckDB refuses one that does not begin with its buffers.
    """
    batches = table.to_batches(max_chunksize=THREAD_ROWS)
    if any(pa.types.is_struct(field.type) for field in table.schema):
        batches = [
            pa.RecordBatch.from_arrays([_at_begin(column) for column in batch.columns], schema=table.schema)
            for batch in batches
        ]
    return pa.Table.from_batches(batches, table.schema)


def _at_begin(column: pa.Array) -> pa.Array:
    is_cut = pa.types.is_struct(column.type) and column.offset
    return pa.concat_arrays([column, column[:0]]) if is_cut else column
