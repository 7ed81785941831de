"""Parquet files → chunks of rows in Arrow, whatever they unfold to.

A few kilobytes may hold gigabytes: a text that is written once and meant by every row, a page of one letter, a list
without end. So the headers of pages are looked at before Arrow reads them, and texts are copied when it is known how
much that takes.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from journeymart.landing.readers import (
    CHUNK_BYTES,
    LINE_NO,
    MAX_LINE_BYTES,
    TOO_LONG,
    Chunk,
    FileRejectedError,
    Reject,
    as_text,
    check_names,
    said,
    uncompressed,
)

PARQUET_ROWS = 65_536
# Of a row group, what Arrow has in memory at a time: a page of each column, and whatever is in one list.
PAGES_BYTES, LISTED_VALUES = 256 * 2**20, 2**25
ROWS_BYTES = 128 * 2**20  # of rows that are read at a time, at the most that they can be
PREFIXED = "DELTA_BYTE_ARRAY"  # a value may begin with all of the one before it
DICTIONARY_PAGE = 2
VALUE_BYTES = 8
LONG_ROWS = 8  # rejected at a time, for each takes up to MAX_LINE_BYTES
VIEWS = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}  # Arrow filters no views
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def read_parquet(path: Path, compression: str | None = None) -> Iterator[Chunk]:
    """A Parquet file: _line_no (row number from 1) and its columns in their own types."""
    with uncompressed(path, compression) as plain:
        yield from _read_parquet(plain)


def without_erased(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The rows of a Parquet file without those that erasure has left empty."""
    for chunk in chunks:
        known = [column.is_valid() for name, column in zip(chunk.table.column_names, chunk.table.columns, strict=True)
                 if name != LINE_NO]  # fmt: skip
        yield Chunk(chunk.table.filter(functools.reduce(pc.or_, known)), chunk.rejects)


def _read_parquet(path: Path) -> Iterator[Chunk]:
    try:
        metadata = parquet.read_metadata(path)
        leaves = [metadata.schema.column(number) for number in range(metadata.num_columns)]
        names = metadata.schema.to_arrow_schema().names
        check_names(names, sum(len(leaf.path) for leaf in leaves))
        groups = _groups(path)
        rows, once = _rows_at_a_time(path, groups, leaves)
        # A text that is written once and meant by every row is copied for each when it is known how much that takes.
        texts = [
            leaf.path
            for position, leaf in enumerate(leaves)
            if leaf.physical_type == "BYTE_ARRAY"
            and position in once
            and not any(PREFIXED in group.columns[position].encodings for group in groups)
        ]
        file = parquet.ParquetFile(
            path, read_dictionary=texts, pre_buffer=False, buffer_size=2**20, page_checksum_verification=True
        )
        row = 1
        for batch in file.iter_batches(batch_size=rows):
            numbers = pa.array(np.arange(row, row + batch.num_rows, dtype=np.int64))
            row += batch.num_rows
            for name, column in zip(names, batch.columns, strict=True):
                _check_times(name, column)
            yield from _unfolded(numbers, batch)
    except (pa.ArrowException, duckdb.Error, OSError, ValueError, IndexError) as error:
        raise FileRejectedError(f"is not readable as Parquet: {said(error)}") from error


@dataclass(frozen=True)
class _Column:
    """What a file says of a column of one row group."""

    num_values: int
    encodings: str
    dictionary_page_offset: int | None
    data_page_offset: int
    total_compressed_size: int


@dataclass
class _Group:
    """What a file says of a row group."""

    num_rows: int
    total_byte_size: int
    columns: list[_Column]


@functools.cache
def _engine() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def _groups(path: Path) -> list[_Group]:
    """The row groups of a file. Not from Arrow, which ends the process at damaged statistics of a column."""
    groups: dict[int, _Group] = {}
    with path.open("rb") as file:  # by its descriptor: DuckDB gives a meaning to some characters of a path
        found = _engine().cursor().execute(
            "select row_group_id, row_group_num_rows, row_group_bytes, num_values, encodings, dictionary_page_offset,"
            " data_page_offset, total_compressed_size from parquet_metadata(?) order by row_group_id, column_id",
            [f"/proc/self/fd/{file.fileno()}"],
        )  # fmt: skip
        for number, rows, size, *column in found.fetchall():
            groups.setdefault(number, _Group(rows, size, [])).columns.append(_Column(*column))
    return list(groups.values())


def _rows_at_a_time(path: Path, groups: list[_Group], leaves: list[Any]) -> tuple[int, set[int]]:
    """How many rows fit into memory, and which columns have values that are written once for several rows. Raises
    FileRejectedError if it may be none."""
    rows = PARQUET_ROWS
    once: set[int] = set()
    with path.open("rb") as file:
        for number, group in enumerate(groups, 1):
            columns = group.columns
            pages, widths, shared = zip(*(_pages(file, column) for column in columns), strict=True)
            once.update(itertools.compress(range(len(leaves)), shared))
            if sum(pages) > PAGES_BYTES:
                raise FileRejectedError(
                    f"has pages of {sum(pages):,} bytes together in its row group {number}, more than"
                    f" {PAGES_BYTES:,}; pages of 1 MB are usual"
                )
            listed = sum(
                column.num_values for column, leaf in zip(columns, leaves, strict=True) if leaf.max_repetition_level
            )
            if listed > LISTED_VALUES:
                raise FileRejectedError(
                    f"has {listed:,} values in the lists of its row group {number}, more than {LISTED_VALUES:,};"
                    " write smaller row groups"
                )
            values = sum(column.num_values for column in columns) * VALUE_BYTES
            rows = min(
                rows,
                CHUNK_BYTES * group.num_rows // max(group.total_byte_size, values, 1) + 1,
                ROWS_BYTES // max(sum(widths), 1) + 1,
            )
    return rows, once


def _pages(file: BinaryIO, column: _Column) -> tuple[int, int, bool]:
    """Bytes of the dictionary and the largest page of a column, decompressed, and of a value where they are longest: a
    page says how many it has; and whether there may be a dictionary, whose values are written once for several rows."""
    at = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)), default=0)
    end = at + column.total_compressed_size
    dictionary = largest = width = 0
    is_once = False
    while at < end:
        file.seek(at)
        try:
            header = _page_header(file)
            kind, size = header[1], header[2]
            at = file.tell() + max(header[3], 0)
        except (IndexError, KeyError, OverflowError, RecursionError):  # it is none: who reads it will say so
            is_once = True
            break
        if kind == DICTIONARY_PAGE:
            is_once, dictionary = True, size
            continue
        largest = max(largest, size)
        width = max(width, size // max(header.get(501, 0), header.get(801, 0), 1))
    width = max(dictionary, largest) if PREFIXED in column.encodings else width
    return dictionary + largest, width, is_once


def _page_header(file: BinaryIO, within: int = 0) -> dict[int, int]:
    """The numbers in a page's header (struct PageHeader in Thrift's compact protocol) by the number of their field, of
    a field `n` in field `m` by 100 × m + n: 1 is the kind, 2 and 3 the bytes without and with compression."""

    def number() -> int:
        value = shift = 0
        while (byte := file.read(1)[0]) > 127:  # noqa: PLR2004 - seven bits each
            value |= (byte & 127) << shift
            shift += 7
        return value | byte << shift

    found: dict[int, int] = {}
    field_no = 0
    while begin := file.read(1)[0]:
        kind = begin & 15
        field_no = field_no + (begin >> 4) if begin >> 4 else _signed(number())
        if kind in (4, 5, 6):  # integers
            found[100 * within + field_no] = _signed(number())
        elif kind == 8:  # bytes  # noqa: PLR2004
            file.seek(number(), os.SEEK_CUR)
        elif kind == 12:  # a struct  # noqa: PLR2004
            found |= _page_header(file, field_no)
        elif kind not in (1, 2):  # yes and no, which take no room
            raise KeyError(kind)
    return found


def _signed(value: int) -> int:
    return value >> 1 ^ -(value & 1)


def _unfolded(numbers: pa.Array, batch: pa.RecordBatch) -> Iterator[Chunk]:
    """Rows of Parquet in chunks, with their texts; those that are longer than a line may be are rejected."""
    sizes = [_sizes(column) for column in batch.columns]
    total = sum(sizes, np.zeros(batch.num_rows, np.int64))

    def table(rows: Any) -> pa.Table:
        columns = [column.take(rows) if len(rows) < batch.num_rows else column for column in batch.columns]
        plain = [_read(column.cast(_plain(column.type))) for column in columns]
        return pa.Table.from_arrays([numbers.take(rows), *plain], names=[LINE_NO, *batch.schema.names])

    long = np.flatnonzero(total > MAX_LINE_BYTES)
    for first in range(0, len(long), LONG_ROWS):
        rejects = []
        for row in long[first : first + LONG_ROWS].tolist():
            shown = {
                name: column[row].as_py() if size[row] <= MAX_LINE_BYTES else _begin(column[row])
                for name, column, size in zip(batch.schema.names, batch.columns, sizes, strict=True)
            }
            line = json.dumps(shown, ensure_ascii=False, default=str).encode()
            rejects.append(Reject(numbers[row].as_py(), None, TOO_LONG, as_text(line)))
        yield Chunk(table(long[:0]), rejects)
    kept = np.flatnonzero(total <= MAX_LINE_BYTES)
    for rows in np.split(kept, np.flatnonzero(np.diff(np.cumsum(total[kept]) // CHUNK_BYTES)) + 1):
        if len(rows):
            yield Chunk(table(rows))


def _begin(value: pa.Scalar) -> str:
    """The begin of a long text. What else is long has more values than Python could hold."""
    while pa.types.is_dictionary(value.type):
        value = value.value
    begin = value.as_buffer()[:MAX_LINE_BYTES].to_pybytes() if hasattr(value, "as_buffer") else b"\xe2\x80\xa6"
    return begin.decode(errors="replace")


def _sizes(column: pa.Array) -> Any:
    """About how many bytes each value is as text, with all that is nested in it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        known = _sizes(column.dictionary)
        return np.append(known, 0)[column.indices.fill_null(len(known)).to_numpy()]
    if pa.types.is_struct(kind):
        return sum(map(_sizes, column.flatten()), np.zeros(len(column), np.int64))
    if pa.types.is_fixed_size_list(kind):
        column = column.cast(pa.list_(kind.value_type))
    if pa.types.is_nested(kind):  # lists and maps, which are lists of structs
        within = np.zeros(len(column.values) + 1, np.int64)
        np.cumsum(_sizes(column.values), out=within[1:])
        return np.diff(within[column.offsets.to_numpy()])
    if kind in VIEWS:
        column = column.cast(VIEWS[kind])
    try:
        return pc.binary_length(column).fill_null(0).to_numpy()
    except pa.ArrowNotImplementedError:  # no text
        return np.broadcast_to(VALUE_BYTES, len(column))


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type with texts in the place of dictionaries and views, which Arrow filters not or DuckDB reads slowly."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([member.with_type(_plain(member.type)) for member in kind])
    if pa.types.is_map(kind):
        return pa.map_(_plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    return VIEWS.get(kind, kind)


def _read(column: pa.Array) -> pa.Array:
    """Bytes as text, if they are: not every writer says which of its bytes are."""
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        with suppress(pa.ArrowInvalid):
            text = column.cast(pa.string())
            if not pc.any(pc.match_substring(text, "\0")).as_py():
                return text
    return column


def _check_times(name: str, column: pa.Array) -> None:
    """Raise FileRejectedError for a time of day that is none, at any depth: DuckDB does not survive it."""
    if pa.types.is_time(column.type):
        day = 86_400 * PER_SECOND[column.type.unit]
        numbers = pc.min_max(column.view(f"int{column.type.bit_width}")).as_py()
        if numbers["min"] is not None and not (numbers["min"] >= 0 and numbers["max"] < day):
            raise FileRejectedError(f"has a time that is not within a day in its column '{name}'")
    elif pa.types.is_struct(column.type):
        for member in column.flatten():
            _check_times(name, member)
    elif pa.types.is_map(column.type):
        _check_times(name, column.keys)
        _check_times(name, column.items)
    elif pa.types.is_nested(column.type):  # lists
        _check_times(name, column.flatten())
