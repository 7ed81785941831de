"""Loading: files → rows of schema raw, each file exactly once.

The ledger row of a file, its rows and its quarantine are one transaction: wherever the process is killed, either all
of them are there or none. A unique index on (source, sha256) makes a second loader of the same content wait for the
first one and then record a repeat. Small files share a transaction; if one of them is rejected each half has its own.

Work is a pipeline of three threads that each wait for the next chunk: read and cut, type and encode, copy.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb as JsonbType
from psycopg import sql
from psycopg.types.json import Jsonb

from journeymart.db import connect
from journeymart.definitions.pages import Pages, load_pages
from journeymart.definitions.sources import Source, Sources, load_sources
from journeymart.definitions.transactions import Transactions, length, load_transactions
from journeymart.landing.archive import Archive, Copy, keep_all
from journeymart.landing.decode import EXTRA, HASH_OF_KEYS, KEYS_HASH, LINE_NO_MASK, ROW_ID, Decoder, pairs
from journeymart.landing.decode import name as quoted
from journeymart.landing.files import Declaration, FileResult, LandingFile, supersedes
from journeymart.landing.messages import read_messages
from journeymart.landing.personal import mask_line
from journeymart.landing.protection import SECRET, Protection
from journeymart.landing.readers import (
    CHUNK_BYTES,
    LINE,
    LINE_NO,
    Chunk,
    FileRejectedError,
    Reject,
    read_csv,
    read_lines,
    read_parquet,
)
from journeymart.landing.targets import JSON_COLUMNS, TARGETS, Target
from journeymart.landing.typed import Typed, shared_out
from journeymart.settings import Settings

GROUP_BYTES = 64 * 2**20  # landed bytes that share a transaction
GROUP_FILES = 1000
BATCH_BYTES = 2 * CHUNK_BYTES  # that are typed together: every statement has its price, whatever it works on
ENGINE_MEMORY = "800MB"
COPY_ROWS = 50_000
CACHED_KEY_SETS = 100_000
CONTENT_ID_LENGTH = 16
PLAN_HASH_LENGTH = 16
# Of a tracking plan: what says nothing about how a line is read.
NO_MEANING = frozenset({"label", "description", "category", "channels", "expect_every", "require_done"})
# The properties of a row as an object, whatever they are.
PROPERTIES_OBJECT = """case
    when properties is null then '{}'
    when json_type(properties) = 'OBJECT' then properties
    else json_object('properties', properties::json) end"""
END = object()
Item = TypeVar("Item")
log = logging.getLogger(__name__)
Copied = dict[str, pa.Table]


# PostgreSQL refuses a value (NUL characters, JSON it cannot hold), so the file is worth a closer look.
REFUSED = (
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)


# The machine or the server has no room; it says nothing about the file, which is taken again.
NO_ROOM = (
    OSError,
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    psycopg.errors.DiskFull,
    psycopg.errors.OutOfMemory,
    psycopg.errors.InsufficientResources,
    psycopg.errors.IoError,
)


LEDGER_ROW = """
    insert into raw.file
        (source, path, sha256, bytes, modified_at, format, declared, status, error, repeat_of, run_id, plan_hash)
    select %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
    where %s or not exists (  -- what was corrected does not come back, unless as a correction itself
        select from raw.file where (source, sha256, status) = (%s, %s, 'superseded')
    )
    on conflict (source, sha256) where status = 'loaded' do nothing
    returning file_id"""
SETTLED_ROW = """
    with days as (
        insert into raw.file_day (file_id, happened_on, rows_loaded)
        select %s, happened_on, rows_loaded
        from unnest(%s::date[], %s::bigint[]) as counted (happened_on, rows_loaded)
    )
    update raw.file
    set rows_read = %s, rows_loaded = %s, rows_quarantined = %s, totals = %s, content_hash = %s,
        first_event_at = %s, last_event_at = %s
    where file_id = %s"""


class FileChangedError(Exception):
    """The file is no longer the one that was discovered."""


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
class Content:
    """What identifies the content of a file, and what its sender declares about it."""

    sha256: str
    declared: Any
    copy: Copy  # on its way into the archive


@dataclass(frozen=True)
class Batch:
    """Rows of one or several files that have the same columns."""

    format: str
    table: pa.Table
    rejects: list[tuple[int, Reject]]
    bytes: int

    def with_more(self, table: pa.Table, rejects: list[tuple[int, Reject]]) -> Batch:
        """This batch and a chunk behind it."""
        return Batch(
            self.format, pa.concat_tables([self.table, table]), self.rejects + rejects, self.bytes + table.nbytes
        )


class Loader:
    """Loads files one group at a time; use as a context manager, which closes its connections.

    Connects as jm_loader. Not safe for use by several threads; several processes may load at the same time.
    """

    def __init__(self, run_id: str, *, definitions: Path | None = None, settings: Settings | None = None) -> None:
        self.run_id = run_id
        self.sources: Sources = load_sources(definitions)
        self.pages: Pages = load_pages(definitions)
        self.transactions: Transactions = load_transactions(definitions, self.sources)
        self._settings = settings or Settings.load()
        self.archive = Archive(self._settings.archive)
        self.protection = Protection(
            self.sources.personal, self._settings.secret(SECRET), self.transactions.personal_items()
        )
        self._closing = ExitStack()
        self._plans: dict[str, str] = {}
        self._keys: dict[int, frozenset[str]] = {}  # NDJSON: hash of the keys of a line → the keys
        self._chunk = pa.table({})  # what the table `chunk` is made of
        self._chunk_keys: set[int] = set()  # the hashes that occur in the table `chunk`

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.callback(self._disconnect)
            self._connect()
            self.archive.clear()
            spill = opening.enter_context(tempfile.TemporaryDirectory(prefix="journeymart-"))
            self.engine = opening.enter_context(duckdb.connect())
            for setting in (
                f"memory_limit = '{ENGINE_MEMORY}'",
                f"temp_directory = '{spill}'",
                f"threads = {len(os.sched_getaffinity(0))}",
                "enable_external_access = false",
                "enable_progress_bar = false",  # standard output belongs to the command line's own result
            ):
                self.engine.execute(f"set {setting}")
            actions = self.warehouse.execute("select action_id, action_type from raw.action").fetchall()
            self.typed = Typed(self.engine)
            self.engine.execute("create table actions (action_id smallint, action_type varchar)")
            self.engine.executemany("insert into actions values (?, ?)", actions)
            self._closing = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _connect(self) -> None:
        self.warehouse = connect("jm_loader", autocommit=True, settings=self._settings)
        self._dictionaries = connect("jm_loader", autocommit=True, settings=self._settings)

    def _disconnect(self) -> None:
        for connection in (self.warehouse, self._dictionaries):
            connection.close()

    def land(self, files: Iterable[LandingFile]) -> Iterator[FileResult]:
        """Load files, small ones of a source in groups; a result for each. One rejected file stops no other."""
        group: list[LandingFile] = []
        for file in files:
            if group and (
                file.source != group[0].source
                or len(group) == GROUP_FILES
                or sum(member.bytes for member in group) + file.bytes > GROUP_BYTES
            ):
                yield from self._land_group(group)
                group = []
            group.append(file)
        if group:
            yield from self._land_group(group)

    def _land_group(self, group: list[LandingFile]) -> Iterator[FileResult]:
        if len(group) == 1:
            yield self._land_one(group[0])
            return
        try:
            yield from self._load(group)
        except (*REFUSED, FileRejectedError, FileChangedError, psycopg.OperationalError, *NO_ROOM) as error:
            log.debug("%d files cannot be loaded together (%s); loading each half", len(group), words(error))
            middle = len(group) // 2
            yield from self._land_group(group[:middle])
            yield from self._land_group(group[middle:])

    def _land_one(self, file: LandingFile) -> FileResult:
        """Load one file; if PostgreSQL refuses a value, once more with a look at every value.

        A lost connection is made again once. Raises DatabaseUnreachableError if that fails.
        """
        try:
            try:
                return self._load_connected(file)
            except REFUSED as error:
                log.debug("%s: %s; looking at every value", file.path, words(error))
                return self._load([file], careful=True)[0]
        except FileChangedError:
            return FileResult(file.source, file.path, "postponed", error=f"{file.path} changed while it was read")
        except FileRejectedError as error:
            return self._reject(file, str(error))
        except REFUSED as error:
            return self._reject(file, f"cannot be stored: {words(error)[:200]}")
        except NO_ROOM as error:
            reason = f"{words(error)[:200]}; nothing of it is loaded, it is taken again by the next run"
            return FileResult(file.source, file.path, "failed", error=f"{file.path} could not be loaded: {reason}")

    def _load_connected(self, file: LandingFile) -> FileResult:
        """Load one file; once more if the connection is lost, which leaves nothing of it or all of it."""
        try:
            return self._load([file])[0]
        except psycopg.OperationalError as error:
            if not (self.warehouse.broken or self._dictionaries.broken):
                raise
            log.warning("%s: connection lost (%s); connecting again", file.path, words(error))
            self._disconnect()
            self._connect()
            return self._load([file])[0]

    def _reject(self, file: LandingFile, reason: str) -> FileResult:
        message = f"{file.path} {mask_line(reason)}"
        row = self._insert(file, None, "rejected", error=message)
        return FileResult(file.source, file.path, "rejected", row, error=message)

    # ── one transaction ──

    def _load(self, files: list[LandingFile], careful: bool = False) -> list[FileResult]:
        """Load files of one source in one transaction; results in the order of `files`."""
        with ExitStack() as copies:
            contents = []
            for file in files:
                contents.append(self._content(file))
                copies.callback(contents[-1].copy.discard)
            return self._load_contents(files, contents, careful)

    def _load_contents(self, files: list[LandingFile], contents: list[Content], careful: bool) -> list[FileResult]:
        source = self.sources.sources[files[0].source]
        target = TARGETS[files[0].source]
        self.engine.execute(f"set timezone = '{source.time_zone}'")
        with self.warehouse.transaction():
            results = {}
            jobs: dict[int, LandingFile] = {}
            taken: dict[int, Content] = {}
            for file, content, file_id in zip(files, contents, self._take(files, contents), strict=True):
                if file_id is None:
                    results[file.path] = self._repeat(file, content)
                else:
                    jobs[file_id], taken[file_id] = file, content
            self._prepare({file_id: content.sha256 for file_id, content in taken.items()})
            tallies = {file_id: Tally() for file_id in jobs}
            with (
                closing(prefetch(self._batches(jobs))) as batches,
                closing(prefetch(self._encode(files[0].source, batches, careful))) as encoded,
            ):
                for copied, counted in encoded:
                    for table, rows in copied.items():
                        self._copy(table, rows)
                    for file_id, tally in counted.items():
                        tallies[file_id].add(tally)
            if target.names:
                self._store_names()
            for file_id, file in jobs.items():
                results[file.path] = self._checked(file, file_id, taken[file_id], tallies[file_id], target)
            keep_all([content.copy for content in taken.values()])
            self._settle(tallies)
        return [results[file.path] for file in files]

    def _content(self, file: LandingFile) -> Content:
        if file.problem is not None:
            raise FileRejectedError(file.problem)
        copy = self.archive.copy(file)
        return Content(copy.sha256, file.declared(), copy)

    def _take(self, files: list[LandingFile], contents: list[Content]) -> list[int | None]:
        """Rows of the ledger for files to be loaded; None for a content that is loaded already, or was and has been
        corrected since. One exchange with the server, however many there are."""
        rows = [self._row(file, content, "loaded") for file, content in zip(files, contents, strict=True)]
        with self.warehouse.cursor() as cursor:
            cursor.executemany(LEDGER_ROW, rows, returning=True)
            found = [cursor.fetchone()]
            while cursor.nextset():
                found.append(cursor.fetchone())
        return [None if row is None else int(row[0]) for row in found]

    def _insert(
        self, file: LandingFile, content: Content | None, status: str, *, repeat_of: int | None = None,
        error: str | None = None,
    ) -> int | None:  # fmt: skip
        """A row of the ledger for a file that is not loaded."""
        row = self.warehouse.execute(LEDGER_ROW, self._row(file, content, status, repeat_of, error)).fetchone()
        return None if row is None else int(row[0])

    def _row(
        self, file: LandingFile, content: Content | None, status: str, repeat_of: int | None = None,
        error: str | None = None,
    ) -> tuple[Any, ...]:  # fmt: skip
        declared = file.declared() if content is None else content.declared
        return (
                file.source, file.path, content and content.sha256, file.bytes, file.modified_at, file.format,
                None if declared is None else Jsonb(declared), status, error, repeat_of, self.run_id,
                self.plan_hash(file.source) if status == "loaded" else None,
                status != "loaded" or supersedes(declared) is not None, file.source, content and content.sha256,
        )  # fmt: skip

    def plan_hash(self, source: str) -> str:
        """A hash of what gives the lines of a source their meaning; what only people read does not count."""
        if source not in self._plans:
            plan: list[Any] = [self.sources.personal.model_dump(), self.sources.sources[source].model_dump()]
            if source == "clickstream":
                plan.append(self.pages.model_dump())
            elif source == "transactions":
                plan.append(self.transactions.model_dump())
            text = json.dumps(_without(plan, NO_MEANING), sort_keys=True, default=str)
            self._plans[source] = hashlib.sha256(text.encode()).hexdigest()[:PLAN_HASH_LENGTH]
        return self._plans[source]

    def _repeat(self, file: LandingFile, content: Content) -> FileResult:
        """Record that the content is loaded already, unless another loader has taken the very same file."""
        # Two loaders that get here with the same file record it once.
        self.warehouse.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{file.source}/{file.path}",))
        known = self.warehouse.execute(
            """
            select file_id from raw.file
            where (source, path, bytes, modified_at) = (%s, %s, %s, %s) and status <> 'rejected'
            """,
            (file.source, file.path, file.bytes, file.modified_at),
        ).fetchone()
        if known:
            return FileResult(file.source, file.path, "repeated", known[0])
        original = self.warehouse.execute(
            "select file_id from raw.file where source = %s and sha256 = %s and status in ('loaded', 'superseded')"
            " order by status, file_id desc limit 1",
            (file.source, content.sha256),
        ).fetchone()
        if original is None:
            raise FileChangedError
        file_id = self._insert(file, content, "repeated", repeat_of=original[0])
        return FileResult(file.source, file.path, "repeated", file_id)

    def _prepare(self, hashes: dict[int, str]) -> None:
        """Empty tables of the engine for files with these sha256."""
        contents = pa.array([sha256[:CONTENT_ID_LENGTH] for sha256 in hashes.values()], pa.string())
        self.engine.register("new", pa.table({"_file_id": pa.array(hashes, pa.int32()), "_content_id": contents}))
        self.engine.execute("create or replace temp table files as from new")
        self.engine.unregister("new")
        self.engine.execute("create or replace temp table unstorable (row_id bigint)")
        self.engine.execute("create or replace temp table names (node_id integer, name varchar, last_at timestamptz)")

    # ── first stage: read and cut ──

    def _batches(self, jobs: dict[int, LandingFile]) -> Generator[Batch]:
        """Chunks with row ids; those of small files with the same columns together."""
        batch: Batch | None = None
        for file_id, file in jobs.items():
            for chunk in self._chunks(file):
                row_ids = (np.int64(file_id) << 32) + chunk.table.column(LINE_NO).to_numpy()
                table = chunk.table.drop_columns(LINE_NO).add_column(0, ROW_ID, pa.array(row_ids, pa.int64()))
                rejects = [(file_id, reject) for reject in chunk.rejects]
                if batch and (
                    batch.table.schema != table.schema
                    or batch.format != file.format
                    or batch.bytes + table.nbytes > BATCH_BYTES
                ):
                    yield batch
                    batch = None
                batch = batch.with_more(table, rejects) if batch else Batch(file.format, table, rejects, table.nbytes)
            if not file.is_unchanged():
                raise FileChangedError
        if batch:
            yield batch

    def _chunks(self, file: LandingFile) -> Iterator[Chunk]:
        source = self.sources.sources[file.source]
        if file.format == "parquet":
            return read_parquet(file.location)
        if file.format == "csv":
            return read_csv(file.location, file.compression, source.delimiter, source.columns, source.encoding)
        if file.format == "messages":
            if file.source != "transactions":
                raise FileRejectedError("is a .dat file, which holds messages of transactions only")
            return read_messages(file.location, file.compression, self.transactions)
        return read_lines(file.location, file.compression, source.encoding)

    # ── second stage: type and encode ──

    def _encode(
        self, source: str, batches: Iterable[Batch], careful: bool
    ) -> Generator[tuple[Copied, dict[int, Tally]]]:
        """What to copy into which table, and what was counted, batch by batch."""
        target = TARGETS[source]
        decoder: Decoder | None = None
        for batch in batches:
            keys = self._register(batch)
            schema = batch.table.schema
            if decoder is None or decoder.schema != schema or decoder.format != batch.format or keys - decoder.keys:
                if decoder is not None:
                    keys |= decoder.keys
                plan = self.sources.sources[source]
                shortened = self.protection.shortened(plan)
                decoder = Decoder(plan, batch.format, schema, target.derived, keys, careful, shortened)
            self._decode(decoder)
            if careful and self._find_unstorable():
                self._decode(decoder)
            self.protection.apply(self.engine, self.typed, decoder.source, target.derived, target.in_dictionaries)
            if not self._look_up(target, checked=True):
                known = target.in_dictionaries
                self.protection.apply(self.engine, self.typed, decoder.source, target.derived, known, only_known=True)
                self._look_up(target, checked=False)
            self._keep_own(decoder.source)
            copied = {table: self.engine.sql(query).to_arrow_table() for table, query in target.tables.items()}
            counted = self._count(target)
            loaded = sum(tally.loaded for tally in counted.values())
            for table, rows in copied.items():
                if rows.num_rows != loaded:
                    raise AssertionError(f"{rows.num_rows} rows for raw.{table} instead of {loaded}")
            if target.names:
                self._collect_names(target.names)
            quarantine = self._quarantine(source, decoder, batch)
            self.engine.unregister("chunk")
            for file_id, _ in batch.rejects:
                counted.setdefault(file_id, Tally()).quarantined += 1
            yield {**copied, "quarantine": quarantine}, counted

    def _look_up(self, target: Target, checked: bool) -> bool:
        """Fill the dictionaries; False, and some of them not filled, if one would take up a personal value."""
        for statement in target.prepare(self.pages):
            self.engine.execute(statement)
        if target.names and not checked:
            self.protection.mask_column(self.engine, "places", "code")  # paths change when they are cleaned
        is_clean = self.protection.is_clean if checked else None
        return all(
            dictionary.fill(self.engine, self._dictionaries, values, is_clean)
            for dictionary, values in target.dictionaries.items()
        )

    def _decode(self, decoder: Decoder) -> None:
        """Make `typed`, with columns that are no field merged into its properties."""
        try:
            self.typed.fill(decoder.sql)
        except duckdb.Error as error:
            if decoder.format != "parquet":
                raise
            reason = words(error)[:200]
            raise FileRejectedError(f"has columns that cannot be converted: {reason}") from error
        if decoder.format == "ndjson":
            self._find_extra(decoder.source)
        self.typed.update(
            {"properties": f"json_merge_patch({EXTRA}, {PROPERTIES_OBJECT})"},
            f"typed where {EXTRA} is not null and problem is null",
        )

    def _keep_own(self, source: Source) -> None:
        """Merge the fields that a bank has added to the contract into the properties, typed and masked."""
        own = {key: f"{quoted(key)}::json" if item.type == "json" else quoted(key)
               for key, item in source.fields.items() if item.is_own}  # fmt: skip
        if own:
            # What is null is left out: in a patch it would take a member away.
            members = f"json_merge_patch('{{}}', to_json({{{pairs(own)}}}))"
            known = ", ".join(f"{quoted(key)}::varchar" for key in own)
            self.typed.update(
                {"properties": f"json_merge_patch({PROPERTIES_OBJECT}, {members})"},
                f"typed where problem is null and coalesce({known}) is not null",
            )

    def _register(self, batch: Batch) -> frozenset[str]:
        """Make the rows of a batch the table `chunk`; NDJSON: the keys in them, which each line gets as a hash."""
        self._chunk = batch.table
        self.engine.register("chunk", shared_out(self._chunk))
        if batch.format != "ndjson":
            return frozenset()
        found = self.engine.sql(
            f"select {ROW_ID}, {HASH_OF_KEYS} as {KEYS_HASH} from chunk"  # noqa: S608 - constants
        ).to_arrow_table()
        if found.column(ROW_ID) != batch.table.column(ROW_ID):
            raise AssertionError("DuckDB has changed the order of the lines")
        self._chunk = batch.table.append_column(KEYS_HASH, found.column(KEYS_HASH))
        self.engine.register("chunk", shared_out(self._chunk))
        self._chunk_keys = set(pc.unique(found.column(KEYS_HASH)).drop_null().to_pylist())
        if len(self._keys) > CACHED_KEY_SETS:
            self._keys.clear()
        examples = self.engine.execute(
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
        return frozenset().union(*(self._keys[keys_hash] for keys_hash in self._chunk_keys))

    def _find_extra(self, source: Source) -> None:
        """Merge what has no field into one JSON object for the lines that have such keys."""
        known = {column for key, item in source.fields.items() for column in item.columns(key)}
        unknown = [keys_hash for keys_hash in self._chunk_keys if not known.issuperset(self._keys[keys_hash])]
        if unknown:
            self.typed.update(
                {EXTRA: f"json_merge_patch({LINE}, ?)"},
                f"typed join chunk on chunk.{ROW_ID} = typed.row_id"
                f" where problem is null and {KEYS_HASH} in (select unnest(?::ubigint[]))",
                [json.dumps(dict.fromkeys(sorted(known))), unknown],
            )

    def _find_unstorable(self) -> bool:
        """Ask PostgreSQL about every JSON value of `typed`; remember the rows it refuses."""
        columns = [row[0] for row in self.engine.execute("describe typed").fetchall() if row[0] in JSON_COLUMNS]
        refused: list[int] = []
        for column in columns:
            rows = self.engine.execute(
                f"select row_id, {column}::varchar from typed where problem is null and {column} is not null"  # noqa: S608
            ).fetchall()
            refused += [row_id for row_id, value in rows if not self._is_storable(value)]
        if refused:
            self.engine.executemany("insert into unstorable values (?)", [(row_id,) for row_id in set(refused)])
        return bool(refused)

    def _is_storable(self, value: str) -> bool:
        try:
            row = self._dictionaries.execute("select pg_input_is_valid(%s, 'jsonb')", (value,)).fetchone()
        except REFUSED:
            return False
        return row is not None and bool(row[0])

    def _count(self, target: Target) -> dict[int, Tally]:
        day = f"case when problem is null then {target.time}::date end" if target.time else "null::date"
        first_and_last = f"min({target.time}) filter (problem is null), max({target.time}) filter (problem is null)"
        sums = "".join(f", sum({number}), sum({number}) filter (problem is null)" for number in target.numbers)
        rows = self.engine.execute(
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

    def _quarantine(self, source: str, decoder: Decoder, batch: Batch) -> pa.Table:
        hidden = self.protection.hidden(decoder.source)
        raw = "".join(f", {quoted(key)}" for key in hidden)
        found = []
        bad = self.engine.sql("select row_id from typed where problem is not null").to_arrow_table().column(0)
        if len(bad):
            self.engine.register("chunk", self._chunk.filter(pc.is_in(self._chunk.column(ROW_ID), bad)))
            found = self.engine.execute(
                f"select row_id, bad.problem, bad_value, bad_line{raw} from ({decoder.bad_sql}) as bad"  # noqa: S608
                " join typed using (row_id)"
            ).fetchall()
        rows = []
        for file_id, reject in batch.rejects:
            # Nobody can say which part of a line that could not be taken apart has to be hidden.
            kept = None if hidden else self._masked(batch.format, reject.line, ())
            rows.append((file_id, reject.line_no, reject.field, mask_line(reject.reason), kept))
        for row_id, number, value, line, *rest in found:
            problem = decoder.problems[number]
            shown = f"*{hidden[problem.field]}*" if problem.field in hidden and value else mask_line(value or "")
            values = zip(hidden.values(), rest, strict=True)
            kept = None if hidden and problem.field is None else self._masked(batch.format, line, values)
            rows.append((row_id >> 32, row_id & LINE_NO_MASK, problem.field, problem.sentence(shown), kept))
        columns = list(zip(*rows, strict=True)) or [()] * 5
        file_ids, line_nos, fields, reasons, texts = columns
        return pa.table(
            {
                "file_id": pa.array(file_ids, pa.int32()),
                "line_no": pa.array(line_nos, pa.int64()),
                "source": pa.array([source] * len(rows), pa.string()),
                "field": pa.array(fields, pa.string()),
                "reason": pa.array([reason.replace("\0", "\\x00") for reason in reasons], pa.string()),
                "line": pa.array([line and line.replace("\0", "\\x00") for line in texts], pa.string()),
            }
        )

    def _masked(self, file_format: str, line: str | None, values: Iterable[tuple[str, str | None]]) -> str | None:
        """A rejected line as it may be kept. Behind a message's header numbers touch each other: none of them is."""
        if line is None:
            return None
        if file_format == "messages" and self.transactions.file is not None:
            encoding = self.transactions.file.encoding
            width = length(self.transactions.file.header)
            header = line.encode(encoding, "replace")[:width].decode(encoding, "ignore")
            line = header + re.sub("[0-9]", "#", line[len(header) :])
        return self.protection.line(line, values)

    def _collect_names(self, query: str) -> None:
        self.engine.execute(
            f"""
            create or replace temp table names as
            select node_id, name, max(last_at) as last_at
            from (select * from names union all ({query}))
            group by all
            """  # noqa: S608 - from targets.py
        )

    # ── third stage: copy, and the ledger ──

    def _copy(self, table: str, rows: pa.Table) -> None:
        """Binary COPY of an Arrow table into a table of schema raw."""
        if not rows.num_rows:
            return
        encoders = {
            name: ArrowToPostgresBinaryEncoder.infer_encoder(rows.schema.field(name)) for name in rows.schema.names
        }
        for name in JSON_COLUMNS & set(encoders):
            encoders[name] = StringEncoderBuilder.new_with_output(rows.schema.field(name), JsonbType())
        encoder = ArrowToPostgresBinaryEncoder.new_with_encoders(rows.schema, encoders)
        statement = sql.SQL("copy raw.{} ({}) from stdin (format binary)").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, rows.schema.names))
        )
        with self.warehouse.cursor() as cursor:
            with cursor.copy(statement) as copy:
                copy.write(encoder.write_header())
                for batch in rows.to_batches(max_chunksize=COPY_ROWS):
                    copy.write(encoder.write_batch(batch))
                copy.write(encoder.finish())
            if cursor.rowcount != rows.num_rows:
                raise AssertionError(f"raw.{table} took {cursor.rowcount} rows instead of {rows.num_rows}")

    def _store_names(self) -> None:
        """Keep when each name of a node was last seen, whatever the order in which files arrive."""
        rows = self.engine.execute("select node_id, name, last_at from names order by all").fetchall()
        self.warehouse.execute(
            """
            insert into raw.node_name as known (node_id, name, last_at)
            select * from unnest(%s::integer[], %s::text[], %s::timestamptz[])
            on conflict (node_id, name) do update set last_at = excluded.last_at
            where excluded.last_at > known.last_at
            """,
            [[row[position] for row in rows] for position in range(3)],
        )

    def _checked(self, file: LandingFile, file_id: int, content: Content, tally: Tally, target: Target) -> FileResult:
        """What became of a file, once what its sender declared is checked. Raises FileRejectedError on a difference."""
        declared = Declaration.read(content.declared, target.numbers)
        rows_read = tally.loaded + tally.quarantined
        if declared.sha256 is not None and declared.sha256.lower() != content.sha256:
            raise FileRejectedError(f"has the sha256 {content.sha256}, but its .done declares {declared.sha256[:80]}")
        if declared.rows is not None and declared.rows != rows_read:
            raise FileRejectedError(f"has {rows_read} rows, but its .done declares {declared.rows}")
        for number, expected in declared.totals.items():
            found = tally.all_totals.get(number, Decimal(0))
            if found != expected:
                raise FileRejectedError(
                    f"has a total of {number} of {found.normalize():f}, but its .done declares {expected:f}"
                )
        if declared.supersedes is not None:
            self._supersede(file, file_id, declared.supersedes)
        return FileResult(
            file.source, file.path, "loaded", file_id, rows_read, tally.loaded, tally.quarantined, tally.written()
        )

    def _settle(self, tallies: dict[int, Tally]) -> None:
        """Complete the rows of the ledger."""
        with self.warehouse.cursor() as cursor:
            cursor.executemany(SETTLED_ROW, [
                (
                    file_id, list(tally.days), list(tally.days.values()), tally.loaded + tally.quarantined,
                    tally.loaded, tally.quarantined,
                    Jsonb(tally.written()), tally.hash, tally.first_at, tally.last_at, file_id,
                )
                for file_id, tally in tallies.items()
            ])  # fmt: skip

    def _supersede(self, file: LandingFile, file_id: int, other: str) -> None:
        """Mark the file that this one corrects; the next publication takes its rows away."""
        corrected = self.warehouse.execute(
            """
            update raw.file set status = 'superseded', superseded_by = %(file_id)s
            where status = 'loaded' and file_id = (
                select file_id from raw.file
                where source = %(source)s and (sha256 = lower(%(other)s) or path = %(other)s)
                    and status = 'loaded' and file_id <> %(file_id)s
                order by file_id desc limit 1
            )
            """,
            {"file_id": file_id, "source": file.source, "other": other},
        ).rowcount
        if not corrected:
            raise FileRejectedError(
                f"has a .done that supersedes '{other[:300]}', which is no loaded file of its source"
            )


def _without(value: Any, keys: Collection[str]) -> Any:
    """Plain values without these keys, at any depth."""
    if isinstance(value, dict):
        return {key: _without(inner, keys) for key, inner in value.items() if key not in keys}
    return [_without(inner, keys) for inner in value] if isinstance(value, list | tuple) else value


def words(error: Exception) -> str:
    """What an error says, on one line and without personal values."""
    return mask_line(" ".join(str(error).split()))


def prefetch(items: Generator[Item]) -> Generator[Item]:
    """The items, each made by another thread while the one before it is in use. Close it: it closes `items`."""
    with closing(items), ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = worker.submit(next, items, END)
            yield item  # type: ignore[misc]
