"""Transaction messages of fixed width → the columns of a file, as definitions/transactions.yml lays them out.

Positions are bytes: a message is cut first and decoded afterwards. Messages of one code are cut together, item by item
over a matrix of bytes; nothing here loops over messages, except to explain those that are wrong. Delimited and JSON
bodies, which have no positions, are read in bodies.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from journeymart.definitions.transactions import (
    DATE_DIGITS,
    FileMessages,
    Group,
    Item,
    Marker,
    Number,
    Transaction,
    Transactions,
    length,
    placed,
)
from journeymart.landing.bodies import read_body
from journeymart.landing.readers import (
    LINE,
    LINE_NO,
    MAX_LINE_BYTES,
    NEWLINE,
    TOO_LONG,
    Chunk,
    FileRejectedError,
    Reject,
    as_text,
    text_blocks,
)

FIELDS = "fields"
PROPERTIES = "properties"  # members of JSON bodies that no item is laid out for
SHOWN_CHARACTERS = 80
CUT_BYTES = 4 * 2**20  # of messages that are cut together, each as long as its layout: it takes ten times as much
SPACE, ZERO, NINE, MINUS, PLUS, RETURN = (ord(character) for character in " 09-+\r")
BIGGEST_DIGIT, LAST_ASCII = 9, 127
MONTHS, HOURS, SIXTY = 12, 24, 60
PADDING = " \u3000"  # in Korean text also the wide space
CONTROL = r"[\x00-\x1f]"  # what JSON has to escape, beside quotes and backslashes
# How the digits of a date or time become ISO 8601.
DATE_PARTS = (("", 0, 4), ("-", 4, 6), ("-", 6, 8), (" ", 8, 10), (":", 10, 12), (":", 12, 14), (".", 14, 17))
# The last digit of an overpunched number carries its sign: {ABCDEFGHI are +0…9, }JKLMNOPQR are -0…9.
_OVERPUNCH_DIGIT = np.full(256, 255, np.uint8)
_OVERPUNCH_DIGIT[ZERO : NINE + 1] = np.arange(10)
_OVERPUNCH_DIGIT[list(b"{ABCDEFGHI")] = np.arange(10)
_OVERPUNCH_DIGIT[list(b"}JKLMNOPQR")] = np.arange(10)
_OVERPUNCH_MINUS = np.zeros(256, bool)
_OVERPUNCH_MINUS[list(b"}JKLMNOPQR")] = True

Bytes = npt.NDArray[np.uint8]  # one row per message, one column per byte
Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]


@dataclass
class Problems:
    """What is wrong with which message: the first finding counts."""

    found: dict[int, tuple[str | None, str]] = field(default_factory=dict)  # position → (item, reason)

    def add(self, positions: Any, item: str | None, reason: str) -> None:
        """Note the same reason for several messages."""
        for position in np.asarray(positions).tolist():
            self.found.setdefault(position, (item, reason))

    def add_values(self, positions: Any, item: str, kind: str, values: Bytes, encoding: str) -> None:
        """Note that values of an item are not of its kind."""
        for position in np.asarray(positions).tolist():
            shown = values[position].tobytes().decode(encoding, "backslashreplace").strip()[:SHOWN_CHARACTERS]
            self.found.setdefault(position, (item, f"{item} is not {kind}: '{shown}'."))


@dataclass(frozen=True)
class Cut:
    """Messages of one code: the fields they fill, the other items as JSON, and the amounts for control totals."""

    columns: dict[str, pa.Array]
    fields: pa.Array
    amount: Decimal  # of every message whose amount can be read
    problems: Problems
    properties: pa.Array | None = None


def read_messages(
    path: Path, compression: str | None, transactions: Transactions, is_whole: bool = True
) -> Iterator[Chunk]:
    """A file of messages: _line_no, _line, a column for every field that an item fills, and `fields` (JSON).

    Messages with an unknown code, of the wrong length or with a value that is not what it should be are rejected one
    by one. Raises FileRejectedError when the trailer is missing or disagrees with the messages, but not if the file
    is no longer whole: lines were erased since.
    """
    messages = transactions.file
    if messages is None:
        raise FileRejectedError("holds messages, but transactions.yml does not lay out any ('file')")
    reader = _Reader(messages, transactions)
    for lines, _ in text_blocks(path, compression):
        yield reader.chunk(lines)
    if is_whole:
        reader.check_trailer()


@dataclass
class _Block:
    """Messages over one buffer of bytes: their line numbers, begins and lengths (without line end)."""

    data: Bytes
    numbers: Whole
    starts: Whole
    lengths: Whole
    encoding: str
    rejects: list[Reject] = field(default_factory=list)

    def part(self, first: int, end: int) -> _Block:
        """Some of the messages."""
        numbers, starts, lengths = (values[first:end] for values in (self.numbers, self.starts, self.lengths))
        return _Block(self.data, numbers, starts, lengths, self.encoding)

    def raw(self, position: int) -> bytes:
        """One message."""
        start = int(self.starts[position])
        return self.data[start : start + int(self.lengths[position])].tobytes()

    def gather(self, positions: Any, offset: int, width: int) -> Bytes:
        """A stretch of several messages as a matrix; behind the end of a message there are spaces."""
        places = (self.starts[positions] + offset)[:, None] + np.arange(width)
        left = self.lengths[positions] - offset
        if (left >= width).all():
            return self.data[places]
        inside = np.arange(width) < left[:, None]
        return np.where(inside, self.data[np.minimum(places, len(self.data) - 1)], np.uint8(SPACE))

    def reject(self, positions: Any, item: str | None, reason: str) -> None:
        """Note that messages cannot be loaded."""
        for position in np.asarray(positions).tolist():
            text = as_text(self.raw(position), self.encoding)
            self.rejects.append(Reject(int(self.numbers[position]), item, reason, text))


class _Reader:
    """What is kept from block to block of one file."""

    def __init__(self, messages: FileMessages, transactions: Transactions) -> None:
        self.messages = messages
        self.transactions = transactions
        self.header_length = length(messages.header)
        self.code = next(item for item, _ in placed(messages.header) if item.field == "transaction_code")
        self.columns = _fields(messages.header, transactions)
        self.rest = [PROPERTIES] if any(code.body == "json" for code in transactions.transactions.values()) else []
        self.seen = 0  # messages so far, rejected ones included
        self.amount = Decimal(0)
        self.started = False
        self.trailer: tuple[int, bytes] | None = None
        self.rejected = 0
        self.first_reject: Reject | None = None

    def chunk(self, lines: Any) -> Chunk:
        """The messages of one block."""
        block = self._messages(lines)
        tables = []
        for code, positions in self._by_code(block, self._usable(block)):
            transaction = self.transactions.transactions.get(code)
            if transaction is None:
                reason = f"There is no layout for {self.code.name} '{code[:SHOWN_CHARACTERS]}'."
                block.reject(positions, self.code.name, reason)
                self._add_amounts(block, positions)
            else:
                right = self._of_right_length(block, transaction, positions)
                self._add_amounts(block, positions[~right])
                rows = CUT_BYTES // (self.header_length + transaction.length) + 1
                parts = np.split(positions[right], range(rows, int(right.sum()), rows))
                tables += [self._cut(block, transaction, part) for part in parts]
        if block.rejects and self.first_reject is None:
            self.first_reject = min(block.rejects, key=lambda reject: reject.line_no)
        self.rejected += len(block.rejects)
        columns = ((name, pa.string()) for name in (LINE, *self.columns, FIELDS, *self.rest))
        schema = pa.schema([(LINE_NO, pa.int64()), *columns])
        return Chunk(pa.concat_tables(tables) if tables else schema.empty_table(), block.rejects)

    def _usable(self, block: _Block) -> Any:
        """Positions of messages that can be looked into; the others are rejected."""
        usable = np.ones(len(block.numbers), bool)
        for wrong, reason in (
            (block.lengths > MAX_LINE_BYTES, TOO_LONG),
            (_holds_nul(block), "The line contains a NUL byte."),
        ):
            positions = np.flatnonzero(wrong & usable)
            block.reject(positions, None, reason)
            self._add_amounts(block, positions[block.lengths[positions] >= self.header_length])
            usable &= ~wrong
        for position in np.flatnonzero(usable & (block.lengths < self.header_length)).tolist():
            found = int(block.lengths[position])
            item = _incomplete(self.messages.header, 0, found)
            block.reject([position], item, f"The message ends at byte {found}, within its header.")
        return np.flatnonzero(usable & (block.lengths >= self.header_length))

    def _cut(self, block: _Block, transaction: Transaction, positions: Any) -> pa.Table:
        """The sound messages of one code, which have the right length."""
        rows = block.gather(positions, 0, self.header_length + transaction.length)
        encoding = transaction.encoding or self.messages.encoding
        if transaction.body == "fixed":
            cut = cut_messages(rows, block.lengths[positions], self.messages.header, transaction.items, encoding)
            lines = _decoded(rows, encoding)[0]
        else:
            cut = cut_messages(rows, block.lengths[positions], self.messages.header, [], encoding)
            whole = [block.raw(position) for position in positions.tolist()]
            cut = _with_bodies(cut, [raw[self.header_length :] for raw in whole], transaction, encoding)
            lines = pa.array([as_text(raw, encoding) for raw in whole], pa.string())
        self.amount += cut.amount
        good = np.ones(len(positions), bool)
        for row, (item, reason) in cut.problems.found.items():
            good[row] = False
            block.reject([positions[row]], item, reason)
        nothing = pa.nulls(len(positions), pa.string())
        table = pa.table(
            {
                LINE_NO: pa.array(block.numbers[positions]),
                LINE: lines,
                **{name: cut.columns.get(name, nothing) for name in self.columns},
                FIELDS: cut.fields,
                **dict.fromkeys(self.rest, nothing if cut.properties is None else cut.properties),
            }
        )
        return table.filter(pa.array(good))

    def _messages(self, lines: Any) -> _Block:
        """The messages of a block of lines: without leader, trailer and blank lines."""
        lengths = np.diff(lines.starts) - 1
        lengths -= (lengths > 0) & (lines.data[np.maximum(lines.starts[1:] - 2, 0)] == RETURN)
        kept = np.flatnonzero(~lines.blank())
        block = _Block(lines.data, lines.numbers[kept], lines.starts[:-1][kept], lengths[kept], self.messages.encoding)
        if not len(kept):
            return block
        first, end = 0, len(kept)
        if not self.started and self.messages.leader and _marked(block, self.messages.leader)[0]:
            first = 1
        self.started = True
        if self.trailer is None and self.messages.trailer:
            end = next(iter(np.flatnonzero(_marked(block, self.messages.trailer)).tolist()), end)
            if end < len(kept):
                self.trailer = int(block.numbers[end]), block.raw(end)
                behind = end + 1
            else:
                behind = end
        else:
            behind = 0 if self.trailer else end
        if self.trailer and behind < len(kept):
            raise FileRejectedError(
                f"goes on behind its trailer (line {self.trailer[0]}) with line {block.numbers[behind]}"
            )
        self.seen += end - first
        return block.part(first, end)

    def _by_code(self, block: _Block, positions: Any) -> Iterator[tuple[str, Any]]:
        """The messages of each transaction code; codes in order."""
        if not len(positions):
            return
        offset = next(start for item, start in placed(self.messages.header) if item is self.code)
        values = block.gather(positions, offset, self.code.length)
        codes, which = np.unique(values.view(f"S{self.code.length}").ravel(), return_inverse=True)
        for number, code in enumerate(codes.tolist()):
            text = code.decode(self.messages.encoding, "backslashreplace").strip(PADDING)
            yield (self.code.values or {}).get(text, text), positions[which == number]

    def _of_right_length(self, block: _Block, transaction: Transaction, positions: Any) -> Mask:
        """Which messages have the length of their layout; the others are rejected.

        A group at the end may be shorter; cut_messages compares it with its count.
        """
        lengths = block.lengths[positions]
        if transaction.body != "fixed":
            return np.ones(len(lengths), bool)
        full = self.header_length + transaction.length
        right: Mask = lengths == full
        last = transaction.items[-1] if transaction.items else None
        if isinstance(last, Group):
            missing = full - lengths
            right |= (missing > 0) & (missing <= last.length) & (missing % last.each == 0)
        for position in positions[~right].tolist():
            found = int(block.lengths[position])
            item = _incomplete(transaction.items, self.header_length, found)
            block.reject([position], item, f"The message has {found} bytes instead of {full}.")
        return right

    def _add_amounts(self, block: _Block, positions: Any) -> None:
        """Count the amounts in the headers of messages whose items cannot be read."""
        for item, start in placed(self.messages.header):
            if item.field == "amount" and item.type == "number":
                values, known, _ = _numbers(block.gather(positions, start, item.length), item.number())
                self.amount += _total(values[known], item.decimals)

    def check_trailer(self) -> None:
        """Raises FileRejectedError unless the trailer is there and agrees with the messages."""
        trailer = self.messages.trailer
        if trailer is None:
            return
        if self.trailer is None:
            raise FileRejectedError("has no trailer; is it complete?")
        line_no, record = self.trailer
        for name, number, found in (
            ("messages", trailer.rows, Decimal(self.seen)),
            *((f"total of {name}", number, self.amount) for name, number in trailer.totals.items()),
        ):
            if number is None:
                continue
            declared = self._declared(number, record)
            if declared is None:
                raise FileRejectedError(f"has a trailer (line {line_no}) whose {name} cannot be read")
            if declared != found:
                raise FileRejectedError(
                    f"has {name} {found.normalize():f}, but its trailer (line {line_no}) declares "
                    f"{declared.normalize():f}{self._cause()}"
                )

    def _cause(self) -> str:
        """What may be behind a difference: messages that cannot be read, without their values."""
        if self.first_reject is None:
            return ""
        reason = re.sub(" ?'.*'", "", self.first_reject.reason).replace(":.", ".")
        return f"; rejected messages: {self.rejected}, the first in line {self.first_reject.line_no}: {reason}"

    @staticmethod
    def _declared(number: Number, record: bytes) -> Decimal | None:
        start = number.offset or 0
        if len(record) < start + number.length:
            return None
        matrix = np.frombuffer(record[start : start + number.length], np.uint8)[None, :]
        values, known, _ = _numbers(matrix, number)
        return _total(values, number.decimals) if known[0] else None


def cut_messages(rows: Bytes, lengths: Whole, header: list[Item], items: list[Item | Group], encoding: str) -> Cut:
    """Cut the messages of one code: `rows` hold header and items, short ones filled up with spaces."""
    problems = Problems()
    columns: dict[str, pa.Array] = {}
    parts: list[pa.Array] = []
    counts: dict[str, Whole] = {}
    amount = Decimal(0)
    body = length(header)
    entries = placed(header) + [(entry, body + start) for entry, start in placed(items)]
    for entry, start in entries:
        if isinstance(entry, Group):
            parts.append(_group(rows, lengths, entry, start, counts[entry.count], problems, encoding))
            continue
        values = rows[:, start : start + entry.length]
        text, whole, known = _item(values, entry, problems, encoding)
        if whole is not None:
            counts[entry.name] = np.where(known, whole, 0)
            if entry.field == "amount":
                amount += _total(whole[known], entry.decimals)
        if entry.field is not None:
            columns[entry.field] = text
        else:
            parts.append(_json_member(entry, text))
    return Cut(columns, _json_object(parts, len(rows)), amount, problems)


def _with_bodies(cut: Cut, bodies: list[bytes], transaction: Transaction, encoding: str) -> Cut:
    """Messages whose headers are cut, with what their delimited or JSON bodies say."""
    read = [read_body(body, transaction, encoding) for body in bodies]
    for row, body in enumerate(read):
        if body.problem is not None:
            cut.problems.found.setdefault(row, body.problem)
    filled = sorted({field for body in read for field in body.columns})
    columns = {field: pa.array([body.columns.get(field) for body in read], pa.string()) for field in filled}
    amount = sum((Decimal(body.columns["amount"]) for body in read if "amount" in body.columns), cut.amount)
    texts = pa.array([body.fields for body in read], pa.string())
    rest = pa.array([body.properties for body in read], pa.string())
    return Cut({**cut.columns, **columns}, texts, amount, cut.problems, rest)


def _group(
    rows: Bytes, lengths: Whole, group: Group, start: int, counts: Whole, problems: Problems, encoding: str
) -> pa.Array:
    """A repeated group as a member of JSON: a list with as many objects as its count says."""
    problems.add(
        np.flatnonzero((counts < 0) | (counts > group.times)),
        group.count,
        f"{group.count} is not between 0 and {group.times}, the most that {group.name} has.",
    )
    full = start + group.length
    shorter = (lengths < full) & (lengths != start + counts * group.each)
    problems.add(
        np.flatnonzero(shorter), group.name, f"{group.name} does not have as many entries as {group.count} says."
    )
    objects = []
    for number in range(min(int(counts.max(initial=0)), group.times)):
        there = counts > number
        position = start + number * group.each
        members = []
        for item in group.items:
            # What lies behind the last entry is padding, whatever it is.
            values = np.where(there[:, None], rows[:, position : position + item.length], np.uint8(SPACE))
            text, _, _ = _item(values, item, problems, encoding)
            members.append(_json_member(item, text))
            position += item.length
        objects.append(pc.if_else(pa.array(there), _json_object(members, len(rows)), None))
    listed = _joined(objects, len(rows))
    return pc.binary_join_element_wise(f'"{group.name}":[', listed, "]", "")


def _item(values: Bytes, item: Item, problems: Problems, encoding: str) -> tuple[pa.Array, Whole | None, Mask]:
    """The text of an item, null where it is blank; for a number also its digits as a whole number and where it is."""
    if item.type == "number":
        whole, known, wrong = _numbers(values, item.number())
        problems.add_values(np.flatnonzero(wrong), item.name, "a number as laid out", values, encoding)
        return _number_text(whole, known, item.decimals), whole, known
    if item.type in ("date", "time"):
        text, wrong = _date_text(values)
        problems.add_values(np.flatnonzero(wrong), item.name, f"a {item.type} as laid out", values, encoding)
        return text, None, ~wrong
    text, wrong = _decoded(values, encoding)
    problems.add_values(np.flatnonzero(wrong), item.name, f"{encoding.upper()} text", values, encoding)
    if item.values is not None:
        codes = pc.index_in(text, pa.array(list(item.values), pa.string()))
        unknown = pc.and_(pc.is_null(codes), pc.is_valid(text)).to_numpy(zero_copy_only=False)
        problems.add_values(np.flatnonzero(unknown), item.name, f"one of {', '.join(item.values)}", values, encoding)
        text = pa.array(list(item.values.values()), pa.string()).take(codes)
    return text, None, ~wrong


def _numbers(values: Bytes, number: Number) -> tuple[Whole, Mask, Mask]:
    """Whole numbers (the point left out), where there is one, and where there is something else.

    Spaces before the digits are zeros; nothing but spaces is no number, and no mistake.
    """
    blank = (values == SPACE).all(axis=1)
    negative = np.zeros(len(values), bool)
    wrong = np.zeros(len(values), bool)
    digits = values
    if number.sign in ("leading", "trailing"):
        at = 0 if number.sign == "leading" else -1
        sign = values[:, at]
        digits = values[:, 1:] if at == 0 else values[:, :-1]
        negative = sign == MINUS
        wrong = ~(negative | (sign == PLUS) | (sign == SPACE) | (sign == ZERO))
    spaces = np.logical_and.accumulate(digits == SPACE, axis=1)
    figures = np.where(spaces, np.uint8(0), digits - np.uint8(ZERO))
    if number.sign == "overpunch":
        figures[:, -1] = _OVERPUNCH_DIGIT[values[:, -1]]
        negative = _OVERPUNCH_MINUS[values[:, -1]]
    wrong = (wrong | (figures > BIGGEST_DIGIT).any(axis=1) | spaces.all(axis=1)) & ~blank
    whole = np.zeros(len(values), np.int64)
    for position in range(figures.shape[1]):
        whole = whole * 10 + figures[:, position]
    whole[negative] *= -1
    return whole, ~(blank | wrong), wrong


def _number_text(whole: Whole, known: Mask, decimals: int) -> pa.Array:
    """Whole numbers with their point, as text that JSON and SQL read."""
    wide = np.empty((len(whole), 2), np.int64)  # little-endian 128 bits
    wide[:, 0] = whole
    wide[:, 1] = np.where(whole < 0, -1, 0)
    array = pa.Array.from_buffers(pa.decimal128(38, decimals), len(whole), [None, pa.py_buffer(wide)])
    return pc.if_else(pa.array(known), pc.cast(array, pa.string()), None)


def _total(whole: Whole, decimals: int) -> Decimal:
    # In two parts, because the sum may need more than 64 bits.
    billions, rest = np.divmod(whole, 10**9)
    return Decimal(int(billions.sum()) * 10**9 + int(rest.sum())).scaleb(-decimals)


def _date_text(values: Bytes) -> tuple[pa.Array, Mask]:
    """YYYYMMDD[HHMMSS[mmm]] as ISO 8601, and where it is no date. Blank and zero are null."""
    absent = (values == SPACE).all(axis=1) | (values == ZERO).all(axis=1)
    figures = (values - np.uint8(ZERO)).astype(np.int64)
    wrong = (figures > BIGGEST_DIGIT).any(axis=1)
    figures[wrong | absent] = 0

    def part(start: int, end: int) -> Whole:
        whole = np.zeros(len(values), np.int64)
        for position in range(start, end):
            whole = whole * 10 + figures[:, position]
        return whole

    year, month, day = part(0, 4), part(4, 6), part(6, 8)
    wrong |= (year < 1) | (month < 1) | (month > MONTHS)
    begin = (np.where(wrong, 0, (year - 1970) * 12 + month - 1)).astype("datetime64[M]")
    days = ((begin + 1).astype("datetime64[D]") - begin.astype("datetime64[D]")).astype(np.int64)
    wrong |= (day < 1) | (day > days)
    if values.shape[1] > DATE_DIGITS:
        wrong |= (part(8, 10) >= HOURS) | (part(10, 12) >= SIXTY) | (part(12, 14) >= SIXTY)
    wrong &= ~absent
    columns = []
    for before, start, end in DATE_PARTS:
        if end <= values.shape[1]:
            columns += [np.full((len(values), len(before)), ord(before or " "), np.uint8), values[:, start:end]]
    text = _ascii(np.concatenate(columns, axis=1))
    return pc.if_else(pa.array(~(wrong | absent)), text, None), wrong


def _decoded(values: Bytes, encoding: str) -> tuple[pa.Array, Mask]:
    """Bytes as text without their padding, null where nothing is left, and where they are no text."""
    wrong = np.zeros(len(values), bool)
    if (values <= LAST_ASCII).all():
        text = pc.ascii_trim(_ascii(values), characters=" ")
    else:
        ended = np.full((len(values), values.shape[1] + 1), NEWLINE, np.uint8)
        ended[:, :-1] = values
        try:
            decoded = ended.tobytes().decode(encoding)
        except UnicodeDecodeError:
            for row in np.flatnonzero((values > LAST_ASCII).any(axis=1)).tolist():
                try:
                    values[row].tobytes().decode(encoding)
                except UnicodeDecodeError:
                    wrong[row] = True
            ended[wrong, :-1] = SPACE
            decoded = ended.tobytes().decode(encoding)
        data = np.frombuffer(decoded.encode(), np.uint8)
        ends = np.flatnonzero(data == NEWLINE) + 1
        offsets = np.concatenate([np.zeros(1, np.int64), ends]).astype(np.int32)
        array = pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
        text = pc.utf8_trim(array, characters=PADDING + "\n")
    return pc.if_else(pc.equal(text, ""), None, text), wrong


def _ascii(values: Bytes) -> pa.Array:
    """Rows of ASCII bytes as strings of the same length."""
    width = values.shape[1]
    offsets = np.arange(len(values) + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.string(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


# ── JSON ──


def _json_member(item: Item, text: pa.Array) -> pa.Array:
    """`"name":value`, null where there is no value."""
    if item.type == "number":
        return pc.binary_join_element_wise(f'"{item.name}":', text, "")
    return pc.binary_join_element_wise(f'"{item.name}":"', _escaped(text), '"', "")


def _escaped(text: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(text, CONTROL)).as_py():
        return pa.array([value and json.dumps(value, ensure_ascii=False)[1:-1] for value in text.to_pylist()])
    return pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), '"', '\\"')


def _json_object(members: list[pa.Array], count: int) -> pa.Array:
    """One JSON object per row of the members that are there."""
    return pc.binary_join_element_wise("{", _joined(members, count), "}", "")


def _joined(parts: list[pa.Array], count: int) -> pa.Array:
    """The parts that are there with commas between them."""
    if not parts:
        return pa.repeat(pa.scalar("", pa.string()), count)
    # Not null_handling="skip": Arrow then leaves out rows that have nothing but nulls.
    led = [pc.binary_join_element_wise(",", part, "") for part in parts]
    joined = pc.binary_join_element_wise(*led, "", null_handling="replace", null_replacement="")
    return pc.ascii_ltrim(joined, characters=",")


# ── bytes of lines ──


def _marked(block: _Block, marker: Marker) -> Mask:
    value = np.frombuffer(marker.value.encode(), np.uint8)
    marked: Mask = block.lengths >= marker.offset + len(value)
    marked[marked] = (block.gather(np.flatnonzero(marked), marker.offset, len(value)) == value).all(axis=1)
    return marked


def _holds_nul(block: _Block) -> Mask:
    holds = np.zeros(len(block.starts), bool)
    if len(block.data) and block.data.min() == 0:
        places = np.flatnonzero(block.data == 0)
        holds = np.searchsorted(places, block.starts) < np.searchsorted(places, block.starts + block.lengths)
    return holds


def _incomplete(items: list[Any], begin: int, end: int) -> str | None:
    """The first item that does not end before byte `end` of the message."""
    for item, start in placed(items):
        if begin + start + item.length > end:
            return str(item.name)
    return None


def _fields(header: list[Item], transactions: Transactions) -> list[str]:
    """The fields that items of any code fill, in order: the columns of every chunk."""
    items = [*header, *(entry for transaction in transactions.transactions.values() for entry in transaction.items)]
    return sorted({item.field for item in items if isinstance(item, Item) and item.field is not None})
