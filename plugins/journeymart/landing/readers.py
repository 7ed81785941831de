"""Files → chunks of rows in Arrow, each with its line number. No meaning is given to the rows here.

Text is cut at line ends with numpy, so every line keeps its number and nothing is parsed twice. A line that cannot
be text (bad bytes, too long, broken quoting) becomes a `Reject` of its own; the lines around it are not affected.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

CHUNK_BYTES = 32 * 2**20
CHUNK_LINES = 2**17  # or about as many, however short they are: each may become a reject, which takes 300 bytes
SEARCHED_BYTES = 2**18
UTF8 = "utf-8"
MAX_LINE_BYTES = 2**20
HEADER = "The line has the names of the columns for values."
TOO_LONG = f"The line is longer than {MAX_LINE_BYTES:,} bytes."
MAX_COLUMNS = 1_000  # what is done per pair of columns takes an hour for as many as fit into a line
MAX_NAMES = 65_536  # characters of their names, which a rejected row of Parquet has with its values
# Columns beside the file's own.
LINE_NO = "_line_no"
LINE = "_line"
NEWLINE, RETURN, QUOTE, BOM = 10, 13, 34, b"\xef\xbb\xbf"
WHITE = np.isin(np.arange(256), list(b" \t\n\r\v\f\x1a"))  # by byte; the last one ends a file of DOS and hosts like it
csv.field_size_limit(MAX_LINE_BYTES)
RESERVED = {LINE_NO, LINE, "_row_id"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


class FileRejectedError(Exception):
    """The file as a whole cannot be loaded; the message is for the ledger and says why."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that no row can be made of. `field` is None when it is not about one field."""

    line_no: int
    field: str | None
    reason: str
    line: str


@dataclass
class Chunk:
    """Some rows of one file: `_line_no`, `_line` (text formats) and one column per column of the file."""

    table: pa.Table
    rejects: list[Reject] = field(default_factory=list)


def portions(chunks: Iterator[Chunk], fitting: Callable[[pa.Table], int]) -> Iterator[Chunk]:
    """The same rows in chunks of no more than is `fitting`."""
    for chunk in chunks:
        rows = fitting(chunk.table)
        yield Chunk(chunk.table.slice(0, rows), chunk.rejects)
        for start in range(rows, chunk.table.num_rows, rows):
            yield Chunk(chunk.table.slice(start, rows))


def read_lines(path: Path, compression: str | None, encoding: str = UTF8) -> Iterator[Chunk]:
    """A text file as its lines: columns _line_no, _line (line ends included). Blank lines are left out."""
    for lines, _ in _Blocks(path, compression):
        rejects = lines.drop_unusable(encoding)
        lines.drop_blank()
        if not len(lines.numbers) and not rejects:
            continue
        yield Chunk(pa.table({LINE_NO: pa.array(lines.numbers), LINE: lines.text()}), rejects)


def read_csv(
    path: Path, compression: str | None, delimiter: str, columns: list[str] | None, encoding: str = UTF8
) -> Iterator[Chunk]:
    """A CSV file (RFC 4180): _line_no, _line and every column as text; `columns` names them if there is no header.

    _line_no is the physical line on which a record begins. Raises FileRejectedError for an unusable header.
    """
    blocks = _Blocks(path, compression)
    for lines, is_last in blocks:
        first_line, data, starts = blocks.line_no, lines.data, lines.starts
        rejects = lines.drop_unusable(encoding)
        if columns is None:
            header_line, header = lines.take_first()
            if rejects and rejects[0].line_no < header_line:
                raise FileRejectedError(f"has no header: line {rejects[0].line_no}: {rejects[0].reason}")
            if header is None:
                continue
            columns = _header(header, delimiter)
        open_line = lines.join_records(delimiter, len(columns), rejects, is_last)
        if open_line:
            blocks.put_back(data[starts[open_line - first_line] :], open_line)
            rejects = [reject for reject in rejects if reject.line_no < open_line]
        lines.drop_blank()
        yield _parse_csv(lines, delimiter, columns, rejects)


@contextmanager
def uncompressed(path: Path, compression: str | None) -> Iterator[Path]:
    """The file itself or, for a format that is not read from its begin to its end, a copy that is not compressed."""
    if compression is None:
        yield path
        return
    with tempfile.TemporaryFile() as copy:  # without a name: a process that is killed leaves nothing behind
        with pa.OSFile(str(path)) as raw, _decompressed(raw, compression) as stream:
            while block := _block(stream):
                copy.write(block)
        copy.flush()
        yield Path(f"/proc/self/fd/{copy.fileno()}")


def _block(stream: Any) -> bytes:
    try:
        return bytes(stream.read(SEARCHED_BYTES))
    except OSError as error:
        raise FileRejectedError(f"cannot be decompressed: {said(error)}") from error


def text_blocks(path: Path, compression: str | None) -> Iterator[tuple[_Lines, bool]]:
    """The lines of a text file block by block, for readers that give them a meaning themselves."""
    yield from _Blocks(path, compression)


class _Blocks:
    """A text file block by block: whole lines, and whether they are the last (which may be none).

    A line beyond MAX_LINE_BYTES is cut short here, so that memory stays bounded, and rejected later for its length.
    """

    def __init__(self, path: Path, compression: str | None) -> None:
        self.path = path
        self.compression = compression
        self.line_no = 1  # of the first line of the current block
        self._next_line = 1
        self._carry = np.empty(0, dtype=np.uint8)  # the begin of the next block

    def put_back(self, data: Any, line_no: int) -> None:
        """The next block shall begin with these whole lines, the first of which is `line_no`."""
        self._carry = np.concatenate([data, self._carry])
        self._next_line = line_no

    def __iter__(self) -> Iterator[tuple[_Lines, bool]]:
        with pa.OSFile(str(self.path)) as raw, _decompressed(raw, self.compression) as stream:
            is_last = False
            while not is_last:
                # numpy would have the kernel clear new pages for each block; Arrow's pool has those of blocks before.
                room = pa.allocate_buffer(len(self._carry) + CHUNK_BYTES + 1)
                data = np.frombuffer(room, dtype=np.uint8)
                data[: len(self._carry)] = self._carry
                end, lines = len(self._carry), 0
                while not is_last and end < len(data) - 1 and lines < CHUNK_LINES:
                    try:
                        added = stream.readinto(data[end : min(end + SEARCHED_BYTES, len(data) - 1)].data)
                    except OSError as error:
                        raise FileRejectedError(f"cannot be decompressed: {said(error)}") from error
                    lines += int(np.count_nonzero(data[end : end + added] == NEWLINE))
                    end += added
                    is_last = not added
                data = data[: end + 1]
                if is_last and len(data) > 1 and data[-2] != NEWLINE:
                    data[-1] = NEWLINE
                else:
                    data = data[:-1]
                if self._next_line == 1 and data[:3].tobytes() == BOM:
                    data = data[3:]
                self.line_no = self._next_line
                ends = _line_ends(data)
                cut = int(ends[-1]) if len(ends) else 0
                self._carry = data[cut : cut + MAX_LINE_BYTES + 1].copy()
                self._next_line += len(ends)
                if cut or is_last:
                    starts = np.concatenate([np.zeros(1, dtype=np.int64), ends])
                    yield _Lines(data[:cut], starts, np.arange(self.line_no, self._next_line, dtype=np.int64)), is_last


def _line_ends(data: Any) -> Any:
    """Where lines end, found in portions that stay in the processor's cache."""
    portions = [
        np.flatnonzero(data[at : at + SEARCHED_BYTES] == NEWLINE) + (at + 1)
        for at in range(0, len(data), SEARCHED_BYTES)
    ]
    return np.concatenate(portions) if portions else np.empty(0, dtype=np.int64)


def _decompressed(raw: Any, compression: str | None) -> Any:
    return raw if compression is None else pa.CompressedInputStream(raw, compression)


class _Lines:
    """Lines over one buffer: `starts` (n + 1 offsets, each line up to the next start) and their `numbers`."""

    def __init__(self, data: Any, starts: Any, numbers: Any) -> None:
        self.data = data
        self.starts = starts
        self.numbers = numbers

    def binary(self) -> pa.Array:
        """The lines as bytes, without copying."""
        offsets = pa.py_buffer(self.starts.astype(np.int32))
        return pa.Array.from_buffers(pa.binary(), len(self.numbers), [None, offsets, pa.py_buffer(self.data)])

    def text(self) -> pa.Array:
        """The lines as text; they are valid UTF-8 once `drop_unusable` is done."""
        return self.binary().view(pa.string())

    def raw(self, position: int) -> bytes:
        start, end = int(self.starts[position]), int(self.starts[position + 1])
        return bytes(self.data[start:end])

    def keep(self, mask: Any) -> None:
        """Leave out lines; the buffer is copied so that the rest is contiguous again."""
        kept = self.binary().filter(pa.array(mask))
        self.numbers = self.numbers[mask]
        self.data = np.frombuffer(kept.buffers()[2] or b"", dtype=np.uint8)
        self.starts = np.frombuffer(kept.buffers()[1], dtype=np.int32)[: len(kept) + 1].astype(np.int64)

    def blank(self) -> Any:
        """Which lines hold nothing but white space."""
        if not (self.data[self.starts[:-1]] <= ord(" ")).any():
            return np.zeros(len(self.numbers), dtype=bool)
        # Not line by line: a small compressed file may be hundreds of millions of them.
        return np.logical_and.reduceat(WHITE[self.data[: self.starts[-1]]], self.starts[:-1])

    def drop_blank(self) -> None:
        """Leave out lines without content."""
        blank = self.blank()
        if blank.any():
            self.keep(~blank)

    def take_first(self) -> tuple[float, str | None]:
        """Remove everything up to the first line with content; its number and text, or infinity and None."""
        content = np.flatnonzero(~self.blank())
        if not len(content):
            return math.inf, None
        number, first = int(self.numbers[content[0]]), self.raw(content[0]).decode()
        self.keep(np.arange(len(self.numbers)) > content[0])
        return number, first

    def drop_unusable(self, encoding: str) -> list[Reject]:
        """Leave out and return the lines that are too long, hold NUL bytes or are not text; the others become UTF-8."""
        unusable: dict[int, str] = {
            int(position): TOO_LONG for position in np.flatnonzero(np.diff(self.starts) > MAX_LINE_BYTES)
        }
        has_nul = len(self.data) and self.data.min() == 0
        nul_bytes = np.flatnonzero(self.data == 0) if has_nul else np.empty(0, dtype=np.int64)
        for position in np.unique(np.searchsorted(self.starts, nul_bytes, side="right") - 1).tolist():
            unusable.setdefault(position, "The line contains a NUL byte.")
        if not self._is_text(encoding):
            for position in range(len(self.numbers)):
                try:
                    self.raw(position).decode(encoding)
                except UnicodeDecodeError as error:
                    unusable.setdefault(position, f"The line is not {encoding.upper()} at byte {error.start + 1}.")
        rejects = [self.reject(position, reason, encoding) for position, reason in sorted(unusable.items())]
        if unusable:
            usable = np.ones(len(self.numbers), dtype=bool)
            usable[list(unusable)] = False
            self.keep(usable)
        if encoding != UTF8:
            # No character of these encodings holds the byte of a line end, so there are as many lines as before.
            self.data = np.frombuffer(self.data.tobytes().decode(encoding).encode(), dtype=np.uint8)
            self.starts = np.concatenate([np.zeros(1, dtype=np.int64), _line_ends(self.data)])
        return rejects

    def _is_text(self, encoding: str) -> bool:
        try:
            if encoding == UTF8:
                self.binary().cast(pa.string())
            else:
                self.data.tobytes().decode(encoding)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            return False
        return True

    def reject(self, position: int, reason: str, encoding: str = UTF8) -> Reject:
        return Reject(int(self.numbers[position]), None, reason, as_text(self.raw(position), encoding))

    def join_records(self, delimiter: str, width: int, rejects: list[Reject], is_last: bool) -> int:
        """Make lines into CSV records, whose quoted values may contain line ends.

        A line with an odd number of quotes opens a record that a later such line closes, provided that together
        they are one record of the right width; otherwise the line is rejected alone and reading goes on behind it.
        Returns the number of the line that opens a record not closed within the block; lines from there are dropped.
        """
        quotes = np.flatnonzero(self.data == QUOTE)
        odd = np.flatnonzero(np.diff(np.searchsorted(quotes, self.starts)) % 2).tolist()
        begins = np.ones(len(self.numbers), dtype=bool)
        kept = np.ones(len(self.numbers), dtype=bool)
        carried_line = 0
        behind = 0
        for opening, closing in itertools.zip_longest(odd, odd[1:]):
            if opening < behind or self._is_record(opening, opening, delimiter, width):
                continue
            if closing is None and not is_last and self.starts[-1] - self.starts[opening] <= MAX_LINE_BYTES:
                carried_line = int(self.numbers[opening])
                kept[opening:] = False
                break
            if closing is not None and self._is_record(opening, closing, delimiter, width):
                begins[opening + 1 : closing + 1] = False
                behind = closing + 1
            else:
                rejects.append(self.reject(opening, "A quoted value is never closed."))
                kept[opening] = False
        if not kept.all():
            self.keep(kept)
            begins = begins[kept]
        self.starts = np.append(self.starts[:-1][begins], self.starts[-1])
        self.numbers = self.numbers[begins]
        return carried_line

    def _is_record(self, first: int, last: int, delimiter: str, width: int) -> bool:
        data = self.data[self.starts[first] : self.starts[last + 1]]
        if self.numbers[last] - self.numbers[first] > last - first:
            return False  # a line of it is not text
        return len(data) <= MAX_LINE_BYTES and _is_csv_record(data.tobytes().decode(), delimiter, width)


def _is_csv_record(text: str, delimiter: str, width: int) -> bool:
    """Whether a text is exactly one CSV record of `width` values."""
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    return len(records) == 1 and len(records[0]) == width


def _csv_values(text: str, delimiter: str) -> list[str] | None:
    """The values of a record, with what is written behind the quotes around them; None if it is not exactly one."""
    last = "x"  # one more value: part of the one before where a quote is not closed
    try:
        records = list(csv.reader(io.StringIO(text.rstrip("\r\n") + delimiter + last, newline=""), delimiter=delimiter))
    except csv.Error:
        return None
    return records[0][:-1] if len(records) == 1 and records[0][-1] == last else None


def _header(line: str, delimiter: str) -> list[str]:
    try:
        [names] = csv.reader([line], delimiter=delimiter)
    except csv.Error:
        raise FileRejectedError("has a carriage return within its header; lines end with LF or CR LF") from None
    names = [name.strip() for name in names]
    check_names(names, len(line))
    return names


def check_names(names: list[str], length: int) -> None:
    """Raise FileRejectedError for too many columns or none, or names of too great a `length` together, and unless each
    can be told apart, in SQL that is blind to case and ends at NUL."""
    if not names:
        raise FileRejectedError("has no columns")
    if len(names) > MAX_COLUMNS:
        raise FileRejectedError(f"has {len(names):,} columns, more than {MAX_COLUMNS:,}")
    if length > MAX_NAMES:
        raise FileRejectedError(f"has names of columns of {length:,} characters together, more than {MAX_NAMES:,}")
    lower = [name.lower() for name in names]
    for name in lower:
        if not name:
            raise FileRejectedError("has a column without a name")
        if "\0" in name:
            raise FileRejectedError("has a column with a NUL character in its name")
        if lower.count(name) > 1:
            places = [number for number, other in enumerate(lower, 1) if other == name]
            raise FileRejectedError(f"has the same name for its columns {places[0]} and {places[1]}")
        if name in RESERVED:
            raise FileRejectedError(f"has a column named '{name}', which is reserved")


def _parse_csv(lines: _Lines, delimiter: str, columns: list[str], rejects: list[Reject]) -> Chunk:
    """Values of whole records, by Arrow where it cannot but find the same ones, else record by record."""
    count = len(lines.numbers)
    is_regular = _is_regular(lines.data, delimiter)
    wrong: dict[int, int] = {}  # position → number of values

    def note(row: Any) -> str:
        wrong[row.number - 1] = row.actual_columns
        return "skip"

    table = pa.table({name: pa.array([], pa.string()) for name in columns})
    if count and is_regular:
        with suppress(pa.ArrowInvalid):  # which record it was is found one by one
            table = arrow_csv.read_csv(
                pa.BufferReader(pa.py_buffer(lines.data)),
                arrow_csv.ReadOptions(column_names=columns, use_threads=False, block_size=len(lines.data) + 1),
                arrow_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=note
                ),
                arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True, null_values=[""]
                ),
            )
    good = np.ones(count, dtype=bool)
    if is_regular and table.num_rows + len(wrong) == count:
        good[list(wrong)] = False
    else:
        values = [_csv_values(lines.raw(position).decode(), delimiter) for position in range(count)]
        counts = [-1 if value is None else len(value) for value in values]
        wrong = {position: found for position, found in enumerate(counts) if found != len(columns)}
        good[list(wrong)] = False
        rows = [value for value in values if value is not None and len(value) == len(columns)]
        table = pa.table(
            {name: pa.array([row[i] or None for row in rows], pa.string()) for i, name in enumerate(columns)}
        )
    for position, found in wrong.items():
        reason = (
            f"The line has {found} values instead of {len(columns)}." if found >= 0 else "The line is not a CSV record."
        )
        rejects.append(lines.reject(position, reason))
    header = _is_header(table, columns)
    if header.any():
        rejects += [lines.reject(position, HEADER) for position in np.flatnonzero(good)[header]]
        table = table.filter(pa.array(~header))
        good[good] = ~header
    text = lines.text()
    if not good.all():
        text = text.filter(pa.array(good))
    table = table.add_column(0, LINE, text).add_column(0, LINE_NO, pa.array(lines.numbers[good]))
    return Chunk(table, rejects)


def _is_header(table: pa.Table, columns: list[str]) -> Any:
    """Which rows are a header once more, as of files that somebody has joined, marks of their begin included."""
    first, *others = columns
    found = pc.is_in(table.column(first), pa.array([first, f"\ufeff{first}"]))
    if pc.any(found).as_py():
        for name in others:
            found = pc.and_(found, pc.equal(table.column(name), name).fill_null(False))
    return found.to_numpy()


def _is_regular(data: Any, delimiter: str) -> bool:
    """Whether quotes stand around whole values and before other quotes only, and returns before line ends only. Else
    what is odd about one record decides what becomes of those beside it: a stray quote makes one row of two."""
    quotes, returns = _places(data, QUOTE), _places(data, RETURN)
    if len(quotes) % 2:
        return False
    between = (NEWLINE, QUOTE, ord(delimiter))  # before the first byte is, in NumPy, the last: the end of a line
    return bool(
        np.isin(data[quotes[::2] - 1], between).all()
        and np.isin(data[quotes[1::2] + 1], (RETURN, *between)).all()
        and (data[returns + 1] == NEWLINE).all()
    )


def _places(data: Any, byte: int) -> Any:
    """Where a byte is. In parts, which use the same memory: new memory for all of it costs ten times as much."""
    parts = range(0, len(data), SEARCHED_BYTES)
    found = (np.flatnonzero(data[at : at + SEARCHED_BYTES] == byte) + at for at in parts)
    return np.concatenate([np.array([], dtype=np.int64), *found])


def as_text(line: bytes, encoding: str = UTF8) -> str:
    """A line as PostgreSQL can store it: without its end, bytes that are no text as \\xNN."""
    text = line[:MAX_LINE_BYTES].rstrip(b"\r\n").decode(encoding, "backslashreplace")
    return text.replace("\0", "\\x00")


def said(error: BaseException) -> str:
    """What an error says, in short."""
    return " ".join(str(error).split())[:200]
