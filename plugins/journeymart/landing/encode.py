"""Rows of a batch → the rows of schema raw: typed, checked, masked, with the keys of dictionaries.

An encoder has an engine of its own; a loader has several, which work at the same time on one batch each.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Self

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from journeymart.definitions.pages import Pages
from journeymart.definitions.sources import Sources
from journeymart.definitions.transactions import Transactions, length
from journeymart.landing.decode import (
    EXTRA,
    HASH_OF_KEYS,
    HASH_OF_TESTED_KEYS,
    KEYS_HASH,
    LINE_NO_MASK,
    ROW_ID,
    Decoder,
    outermost,
    pairs,
    without,
)
from journeymart.landing.decode import name as quoted
from journeymart.landing.dictionaries import DICTIONARIES
from journeymart.landing.personal import mask_line
from journeymart.landing.protection import Protection, suspicion
from journeymart.landing.readers import LINE, FileRejectedError, Reject
from journeymart.landing.spill import spill_directory
from journeymart.landing.targets import TARGETS
from journeymart.landing.typed import Typed, shared_out

CACHED_KEY_SETS = 100_000
MANY_BROKEN = 0.05  # of the lines of a batch
QUARANTINE = pa.schema(
    [
        ("file_id", pa.int32()), ("line_no", pa.int64()), ("source", pa.string()), ("field", pa.string()),
        ("reason", pa.string()), ("line", pa.string()),
    ]
)  # fmt: skip
Quarantined = tuple[int, int, str, str | None, str, str | None]  # a row of it
# That are in Python's hands at a time, where text takes up to four times its room.
QUARANTINE_ROWS, QUARANTINE_BYTES = 10_000, 16 * 2**20
FETCHED_ROWS = 1_000
COPY_ROWS = 50_000
CONTENT_ID_LENGTH = 16
# The properties of a row as an object, whatever they are.
PROPERTIES_OBJECT = """case
    when properties is null then '{}'
    when json_type(properties) = 'OBJECT' then properties
    else json_object('properties', properties::json) end"""
# With the columns that are no field. If a name is in both, which a patch would merge, they stay apart under ALSO.
ALSO = "_line"
OTHER = "_properties"  # where a property is kept whose name a field of the bank's own has taken, with another value
WITH_EXTRA = f"""case
    when not list_has_any(json_keys({EXTRA}), json_keys({PROPERTIES_OBJECT}))
        then json_merge_patch({EXTRA}, {PROPERTIES_OBJECT})
    else json_merge_patch(json_object('{ALSO}', {EXTRA}::json), case
        when json_exists({PROPERTIES_OBJECT}, '$.{ALSO}') then json_object('properties', properties::json)
        else {PROPERTIES_OBJECT} end)
    end"""
# PostgreSQL refuses a value (NUL characters, JSON it cannot hold), so the file is worth a closer look.
REFUSED = (
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)
# What DuckDB or Arrow say of a file whose types they do not take; it stops no other.
UNREADABLE = (
    duckdb.DataError,
    duckdb.NotSupportedError,
    duckdb.InvalidInputException,
    pa.ArrowInvalid,
    pa.ArrowNotImplementedError,
)


@dataclass
class Tally:
    """What was counted for one file, or for its part of a batch."""

    loaded: int = 0
    quarantined: int = 0
    hash: int = 0  # sum of the line hashes of loaded rows
    days: Counter[date] = field(default_factory=Counter)  # loaded rows by the day they happened
    first_at: datetime | None = None
    last_at: datetime | None = None
    all_totals: dict[str, Decimal] = field(default_factory=dict)  # of every line whose number can be read
    totals: dict[str, Decimal] = field(default_factory=dict)  # of loaded rows

    def written(self) -> dict[str, str]:
        """The totals of loaded rows as text, which is exact."""
        return {number: f"{total.normalize():f}" for number, total in self.totals.items()}

    def add(self, other: Tally) -> None:
        """Count another part of the same file."""
        self.loaded += other.loaded
        self.quarantined += other.quarantined
        self.hash += other.hash
        self.days.update(other.days)
        self.first_at = min(filter(None, (self.first_at, other.first_at)), default=None)
        self.last_at = max(filter(None, (self.last_at, other.last_at)), default=None)
        for mine, theirs in ((self.all_totals, other.all_totals), (self.totals, other.totals)):
            for number, total in theirs.items():
                mine[number] = mine.get(number, Decimal(0)) + total


@dataclass(frozen=True)
class Batch:
    """Rows of one or several files that have the same columns."""

    format: str
    table: pa.Table
    rejects: list[tuple[int, Reject]]
    bytes: int

    @property
    def lines(self) -> int:
        """How many lines it is made of."""
        return self.table.num_rows + len(self.rejects)

    def joined(self, other: Batch) -> Batch:
        """This batch and another behind it."""
        table = pa.concat_tables([self.table, other.table])
        return Batch(self.format, table, self.rejects + other.rejects, self.bytes + other.bytes)


@dataclass(frozen=True)
class Encoded:
    """The rows of a batch by table of schema raw, and what was counted by file."""

    rows: dict[str, pa.RecordBatchReader]
    tallies: dict[int, Tally]


@dataclass(frozen=True)
class Rules:
    """What gives the lines of files their meaning."""

    sources: Sources
    pages: Pages
    transactions: Transactions
    protection: Protection
    time_zone: str  # of the days on which lines are said to have happened


class Encoder:
    """Makes rows of batches, one batch at a time; use as a context manager, which closes its engine.

    `actions` are the keys of raw.action; `threads` and `memory` (in MB) are what its engine may take.
    """

    def __init__(self, rules: Rules, actions: Mapping[str, int], threads: int, memory: int) -> None:
        self._rules = rules
        self._closing = ExitStack()
        self._spill = self._closing.enter_context(spill_directory())
        self._engine = self._closing.enter_context(duckdb.connect())
        for setting in (
            f"memory_limit = '{memory}MB'",
            f"temp_directory = '{self._spill}'",
            f"threads = {threads}",
            "enable_external_access = false",
            "enable_progress_bar = false",  # standard output belongs to the command line's own result
        ):
            self._engine.execute(f"set {setting}")
        self._typed = Typed(self._engine)
        self._engine.execute("create table actions (action_id smallint, action_type varchar)")
        self._engine.executemany("insert into actions values (?, ?)", [(key, name) for name, key in actions.items()])
        self._keys: dict[int, frozenset[str]] = {}  # NDJSON: hash of the keys of a line → the keys
        self._repeating: set[int] = set()  # the hashes of those that have a key twice
        self._chunk = pa.table({})  # what the table `chunk` is made of
        self._chunk_keys: set[int] = set()  # the hashes that occur in the table `chunk`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._closing.close()

    def begin(
        self, source: str, hashes: Mapping[int, str], dictionaries: psycopg.Connection, careful: bool = False
    ) -> None:
        """Be ready for batches of files of this source, with these ids and sha256.

        `dictionaries` is a connection in autocommit mode; `careful`: look at every value PostgreSQL may refuse.
        """
        self._name = source
        self._source = self._rules.sources.sources[source]
        self._target = TARGETS[source]
        self._known = {outermost(column) for key, item in self._source.fields.items() for column in item.columns(key)}
        self._dictionaries = dictionaries
        self._careful = careful
        self._decoder: Decoder | None = None
        self._is_broken = False  # the batch before had many lines that are not JSON
        self._engine.execute(f"set timezone = '{self._source.time_zone}'")
        contents = pa.array([sha256[:CONTENT_ID_LENGTH] for sha256 in hashes.values()], pa.string())
        self._engine.register("new", pa.table({"_file_id": pa.array(hashes, pa.int32()), "_content_id": contents}))
        self._engine.execute("create or replace temp table files as from new")
        self._engine.unregister("new")
        self._engine.execute("create or replace temp table unstorable (row_id bigint, _field varchar, _member varchar)")
        self._engine.execute("create or replace temp table names (node_id integer, name varchar, last_at timestamptz)")

    def encode(self, batch: Batch) -> Encoded:
        """The rows of a batch. Raises FileRejectedError if there is something in it that the engine cannot read."""
        try:
            return self._encode(batch)
        except UNREADABLE as error:
            raise FileRejectedError(f"has columns or values that cannot be read: {words(error)[:200]}") from error
        finally:
            self._let_go()

    def _encode(self, batch: Batch) -> Encoded:
        target = self._target
        decoder = self._decoder_for(batch)
        self._decode(decoder)
        if self._careful and self._find_unstorable():
            self._decode(decoder)
        protect = self._rules.protection.apply
        known = target.in_dictionaries
        derived = target.derived(self._rules.pages)
        protect(self._engine, self._typed, self._source, derived, known)
        if not self._look_up(checked=True):
            protect(self._engine, self._typed, self._source, derived, known, only_known=True)
            self._look_up(checked=False)
        self._keep_own()
        rows = {table: self._engine.sql(query).to_arrow_table() for table, query in target.tables.items()}
        tallies = self._count()
        loaded = sum(tally.loaded for tally in tallies.values())
        for table, found in rows.items():
            if found.num_rows != loaded:
                raise AssertionError(f"{found.num_rows} rows for raw.{table} instead of {loaded}")
        if target.names:
            self._collect_names(target.names)
        readers = {table: found.to_reader(COPY_ROWS) for table, found in rows.items()}
        for file_id, _ in batch.rejects:
            tallies.setdefault(file_id, Tally()).quarantined += 1
        if any(tally.quarantined for tally in tallies.values()):
            readers["quarantine"] = self._quarantine(decoder, batch)
        return Encoded(readers, tallies)

    def names(self) -> dict[tuple[int, str], datetime]:
        """When each name of a node was last seen, in all batches since `begin`."""
        rows = self._engine.execute("select node_id, name, last_at from names").fetchall()
        return {(node_id, name): last_at for node_id, name, last_at in rows}

    def forget(self) -> None:
        """Ask for the keys of dictionaries anew: a server that broke down may have lost the last ones."""
        for dictionary in DICTIONARIES:
            dictionary.forget(self._engine)

    def _let_go(self) -> None:
        """Hold the rows of the last batch no longer: memory is what limits how large a batch may be."""
        self._engine.unregister("chunk")
        self._chunk = pa.table({})
        self._typed.clear()

    def _decoder_for(self, batch: Batch) -> Decoder:
        """The decoder of a batch, which becomes the table `chunk`; usually that of the batch before it."""
        keys = self._register(batch) & self._known
        repeats = batch.format == "ndjson" and not self._repeating.isdisjoint(self._chunk_keys)
        decoder, schema = self._decoder, batch.table.schema
        if (
            decoder is None or decoder.schema != schema or decoder.format != batch.format or keys - decoder.keys
            or repeats > decoder.repeats
        ):  # fmt: skip
            if decoder is not None:
                keys |= decoder.keys
                repeats |= decoder.repeats
            shortened = self._rules.protection.shortened(self._source)
            catalogue = self._rules.transactions
            codes = tuple(catalogue.transactions) if catalogue.unknown_codes == "quarantine" else None
            derived = self._target.derived(self._rules.pages)
            decoder = Decoder(
                self._source, batch.format, schema, derived, keys, self._careful, shortened, codes,
                self._rules.protection.hidden_places(self._source), repeats,
                self._target.time if self._target.is_event else None,
            )  # fmt: skip
            self._decoder = decoder
        return decoder

    def _look_up(self, checked: bool) -> bool:
        """Fill the dictionaries; False, and some of them not filled, if one would take up a personal value."""
        target = self._target
        if target.numbered:
            self._typed.number(target.numbered)
        for statement in target.prepare(self._rules.pages):
            self._engine.execute(statement)
        if target.names and not checked:
            self._rules.protection.mask_column(self._engine, "places", "code")  # paths change when they are cleaned
        is_clean = self._rules.protection.is_clean if checked else None
        return all(
            dictionary.fill(self._engine, self._dictionaries, values, is_clean)
            for dictionary, values in target.dictionaries.items()
        )

    def _decode(self, decoder: Decoder) -> None:
        """Make `typed`, with columns that are no field merged into its properties."""
        self._typed.fill(decoder.sql)
        if decoder.as_is:
            keys = {key for key, item in self._source.fields.items() if item.type == "key"}
            self._typed.add(self._chunk, decoder.as_is, keys)
        if decoder.format == "ndjson":
            self._find_extra()
        if len(self._typed.distinct(EXTRA)):
            self._typed.update({"properties": WITH_EXTRA}, f"typed where {EXTRA} is not null and problem is null")

    def _keep_own(self) -> None:
        """Merge the fields that a bank has added to the contract into the properties, typed and masked."""
        own = {key: f"{quoted(key)}::json" if item.type == "json" else quoted(key)
               for key, item in self._source.fields.items() if item.is_own}  # fmt: skip
        if own:
            # What is null is left out: in a patch it would take a member away.
            members = f"json_merge_patch('{{}}', to_json({{{pairs(own)}}}))"
            known = ", ".join(f"{quoted(key)}::varchar" for key in own)
            rows = f"typed where problem is null and coalesce({known}) is not null"
            other = (
                "concat_ws(',', "
                + ", ".join(
                    f"case when json_extract({members}, '$.{key}') <> json_extract({PROPERTIES_OBJECT}, '$.{key}')"
                    f" then '\"{key}\":' || json_extract({PROPERTIES_OBJECT}, '$.{key}') end"
                    for key in own
                )
                + ")"
            )
            self._typed.update(
                {"properties": f"json_merge_patch({PROPERTIES_OBJECT}, '{{\"{OTHER}\":{{' || {other} || '}}}}')"},
                f"{rows} and properties is not null and ({other}) <> ''",
            )
            self._typed.update({"properties": f"json_merge_patch({PROPERTIES_OBJECT}, {members})"}, rows)

    def _register(self, batch: Batch) -> frozenset[str]:
        """Make the rows of a batch the table `chunk`; NDJSON: the keys in them, which each line gets as a hash."""
        self._chunk = batch.table
        self._engine.register("chunk", shared_out(self._chunk))
        if batch.format != "ndjson":
            return frozenset()
        keys_hash = HASH_OF_TESTED_KEYS if self._is_broken else HASH_OF_KEYS
        found = self._engine.sql(
            f"select {ROW_ID}, {keys_hash} as {KEYS_HASH} from chunk"  # noqa: S608 - constants
        ).to_arrow_table()
        self._is_broken = found.column(KEYS_HASH).null_count > MANY_BROKEN * found.num_rows
        if found.column(ROW_ID) != batch.table.column(ROW_ID):
            raise AssertionError("DuckDB has changed the order of the lines")
        self._chunk = batch.table.append_column(KEYS_HASH, found.column(KEYS_HASH))
        self._engine.register("chunk", shared_out(self._chunk))
        self._chunk_keys = set(pc.unique(found.column(KEYS_HASH)).drop_null().to_pylist())
        if len(self._keys) > CACHED_KEY_SETS:
            self._keys.clear()
            self._repeating.clear()
        examples = self._engine.execute(
            f"""
            select {KEYS_HASH}, json_keys(line)
            from (
                select {KEYS_HASH}, any_value({LINE}) as line
                from chunk where {KEYS_HASH} in (select unnest(?::ubigint[])) group by all
            )
            """,  # noqa: S608 - constants
            [list(self._chunk_keys - self._keys.keys())],
        ).fetchall()
        self._keys.update((keys_hash, frozenset(keys or ())) for keys_hash, keys in examples)
        self._repeating.update(keys_hash for keys_hash, keys in examples if len(set(keys or ())) < len(keys or ()))
        return frozenset().union(*(self._keys[keys_hash] for keys_hash in self._chunk_keys))

    def _find_extra(self) -> None:
        """Merge what has no field into one JSON object for the lines that have such keys."""
        known, hidden = self._source.held(), self._rules.protection.hidden_places(self._source)
        unknown = [keys_hash for keys_hash in self._chunk_keys if not known.issuperset(self._keys[keys_hash])]
        if unknown:
            self._typed.update(
                {EXTRA: without(f"json_merge_patch({LINE}, ?)", LINE, hidden)},
                f"typed join chunk on chunk.{ROW_ID} = typed.row_id"
                f" where problem is null and {KEYS_HASH} in (select unnest(?::ubigint[]))",
                [json.dumps(dict.fromkeys(sorted(known))), unknown],
            )

    def _find_unstorable(self) -> bool:
        """Ask PostgreSQL about every JSON value of `typed`; remember the rows it refuses, and why."""
        refused: dict[int, tuple[str, str | None]] = {}
        for column in (key for key, item in self._source.fields.items() if item.type == "json"):
            rows = self._engine.execute(
                f"select row_id, {quoted(column)}::varchar from typed"  # noqa: S608 - a quoted name
                f" where problem is null and {quoted(column)} is not null"
            ).fetchall()
            for row_id, value in rows:
                if not self._is_storable(value):
                    refused[row_id] = column, self._unstorable_member(value)
        if refused:
            found = [(row_id, column, member) for row_id, (column, member) in refused.items()]
            self._engine.executemany("insert into unstorable values (?, ?, ?)", found)
        return bool(refused)

    def _unstorable_member(self, value: str) -> str | None:
        """The first member that PostgreSQL refuses, if the value is an object."""
        try:
            members = json.loads(value)
        except (ValueError, RecursionError):
            return None
        if not isinstance(members, dict):
            return None
        return next((key for key, member in members.items() if not self._is_storable(json.dumps({key: member}))), None)

    def _is_storable(self, value: str) -> bool:
        try:
            row = self._dictionaries.execute("select pg_input_is_valid(%s, 'jsonb')", (value,)).fetchone()
        except REFUSED:
            return False
        return row is not None and bool(row[0])

    def _count(self) -> dict[int, Tally]:
        target = self._target
        day = "null::date"
        if target.time:
            day = f"case when problem is null then timezone('{self._rules.time_zone}', {target.time})::date end"
        first_and_last = f"min({target.time}) filter (problem is null), max({target.time}) filter (problem is null)"
        sums = "".join(f", sum({number}), sum({number}) filter (problem is null)" for number in target.numbers)
        rows = self._engine.execute(
            f"""
            select (row_id >> 32)::integer, {day}, count(*) filter (problem is null), count(problem),
                coalesce(sum({target.line_hash}) filter (problem is null), 0),
                {first_and_last if target.time else "null, null"} {sums}
            from typed group by 1, 2
            """  # noqa: S608 - names from targets.py
        ).fetchall()
        counted: dict[int, Tally] = {}
        for file_id, happened_on, loaded, quarantined, hash_, first_at, last_at, *totals in rows:
            part = Tally(
                loaded, quarantined, int(hash_), Counter({happened_on: loaded} if happened_on else {}),
                first_at, last_at,
                {number: totals[2 * i] for i, number in enumerate(target.numbers) if totals[2 * i] is not None},
                {number: totals[2 * i + 1] for i, number in enumerate(target.numbers) if totals[2 * i + 1] is not None},
            )  # fmt: skip
            counted.setdefault(file_id, Tally()).add(part)
        return counted

    def _quarantine(self, decoder: Decoder, batch: Batch) -> pa.RecordBatchReader:
        """What is rejected, by way of the disk: with its reasons it may take many times the memory of the batch."""
        spilled = self._spill / "quarantine"
        with pa.OSFile(str(spilled), "wb") as file, pa.ipc.new_stream(file, QUARANTINE) as writer:
            part: list[Quarantined] = []
            size = 0
            for row in itertools.chain(self._rejected(batch), self._found_bad(decoder, batch.format)):
                part.append(row)
                size += len(row[-1] or "")
                if len(part) == QUARANTINE_ROWS or size > QUARANTINE_BYTES:
                    writer.write(_quarantine_rows(part))
                    part, size = [], 0
            if part:
                writer.write(_quarantine_rows(part))
        reader = pa.ipc.open_stream(pa.OSFile(str(spilled)))
        spilled.unlink()
        return reader

    def _rejected(self, batch: Batch) -> Iterator[Quarantined]:
        """Lines that could not be taken apart. Nobody can say which part of one has to be hidden."""
        if not batch.rejects:
            return
        is_kept = not self._rules.protection.hidden(self._source)
        suspects = self._rules.protection.suspects(self._engine, (reject.line for _, reject in batch.rejects))
        for (file_id, reject), is_suspect in zip(batch.rejects, suspects, strict=True):
            kept = self._masked(batch.format, reject.line, (), is_suspect) if is_kept else None
            yield self._quarantined(file_id, reject.line_no, reject.field, mask_line(reject.reason), kept)

    def _found_bad(self, decoder: Decoder, file_format: str) -> Iterator[Quarantined]:
        """The rows of `typed` that have a problem."""
        bad = self._engine.sql("select row_id from typed where problem is not null").to_arrow_table().column(0)
        if not len(bad):
            return
        hidden = self._rules.protection.hidden(self._source)
        raw = "".join(f", {quoted(key)}" for key in hidden)
        self._engine.register("chunk", self._chunk.filter(pc.is_in(self._chunk.column(ROW_ID), bad)))
        found = self._engine.execute(
            f"select row_id, bad.problem, bad_value, bad_line, {suspicion('bad_line')}{raw}"  # noqa: S608
            f" from ({decoder.bad_sql}) as bad join typed using (row_id)"
        )
        while rows := found.fetchmany(FETCHED_ROWS):
            for row_id, number, value, line, is_suspected, *rest in rows:
                problem = decoder.problems[number]
                shown = f"*{hidden[problem.field]}*" if problem.field in hidden and value else mask_line(value or "")
                values = zip(hidden.values(), rest, strict=True)
                kept = None
                if problem.field is not None or not hidden:
                    kept = self._masked(file_format, line, values, is_suspected)
                yield self._quarantined(
                    row_id >> 32, row_id & LINE_NO_MASK, problem.field, problem.sentence(shown), kept
                )

    def _quarantined(self, file_id: int, line_no: int, key: str | None, reason: str, line: str | None) -> Quarantined:
        return (
            file_id, line_no, self._name, key, reason.replace("\0", "\\x00"), line and line.replace("\0", "\\x00")
        )  # fmt: skip

    def _masked(
        self, file_format: str, line: str | None, values: Iterable[tuple[str, str | None]], is_suspect: bool
    ) -> str | None:
        """A rejected line as it may be kept. Behind a message's header numbers touch each other: none of them is."""
        if line is None:
            return None
        if file_format == "messages" and self._rules.transactions.file is not None:
            encoding = self._rules.transactions.file.encoding
            width = length(self._rules.transactions.file.header)
            header = line.encode(encoding, "replace")[:width].decode(encoding, "ignore")
            line = header + re.sub("[0-9]", "#", line[len(header) :])
            is_suspect = True
        return self._rules.protection.line(line, values, is_suspect)

    def _collect_names(self, query: str) -> None:
        self._engine.execute(
            f"""
            create or replace temp table names as
            select node_id, name, max(last_at) as last_at
            from (select * from names union all ({query}))
            group by all
            """  # noqa: S608 - from targets.py
        )


def _quarantine_rows(rows: list[Quarantined]) -> pa.RecordBatch:
    return pa.record_batch(dict(zip(QUARANTINE.names, zip(*rows, strict=True), strict=True)), QUARANTINE)


def words(error: Exception) -> str:
    """What an error says, on one line and without personal values."""
    return mask_line(" ".join(str(error).split()))
