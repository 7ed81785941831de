"""Loading: files → rows of schema raw, each file exactly once.

The ledger row of a file, its rows and its quarantine are one transaction: wherever the process is killed, either all
of them are there or none. A unique index on (source, sha256) makes a second loader of the same content wait for the
first one and then record a repeat. Small files share a transaction; if one of them is rejected each half has its own.

Work is a pipeline of threads that each wait for the next chunk: one reads and cuts, two encode in turn (two engines
of one thread each take less than one of two threads, and leave less of two cores idle), one copies.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb
import numpy as np
import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb as JsonbType
from psycopg import sql
from psycopg.types.json import Jsonb

from journeymart.db import connect, holds
from journeymart.definitions.loader import load_yaml
from journeymart.definitions.pages import Pages, load_pages
from journeymart.definitions.sessions import SessionsFile
from journeymart.definitions.sources import Sources, load_sources
from journeymart.definitions.transactions import Transactions, load_transactions
from journeymart.errors import one_line
from journeymart.landing.archive import Archive, Copy, keep_all
from journeymart.landing.decode import ROW_ID
from journeymart.landing.encode import REFUSED, Batch, Encoded, Encoder, Rules, Tally, words
from journeymart.landing.files import Declaration, FileResult, LandingFile, supersedes
from journeymart.landing.messages import read_messages
from journeymart.landing.parquet import read_parquet, without_erased
from journeymart.landing.personal import mask_line
from journeymart.landing.protection import SECRET, Protection
from journeymart.landing.readers import (
    CHUNK_BYTES,
    LINE_NO,
    Chunk,
    FileRejectedError,
    portions,
    read_csv,
    read_lines,
)
from journeymart.landing.targets import JSON_COLUMNS, TARGETS, Target
from journeymart.settings import Settings

GROUP_BYTES = 256 * 2**20  # landed bytes that share a transaction
GROUP_FILES = 1000
BATCH_BYTES = 4 * CHUNK_BYTES  # that are typed together: every statement has its price, whatever it works on
BATCH_ROWS = 250_000  # of a batch, however short they are
# DuckDB needs many times the memory of the text that its functions for JSON are given at a time, which is 2048 lines.
WIDE_LINE_BYTES, WIDE_BATCH_BYTES, CAREFUL_BATCH_BYTES = 16 * 2**10, 16 * 2**20, 2**20
ENCODERS = 2
ENGINES_MEMORY = 800  # MB, of all encoders
PLAN_HASH_LENGTH = 16
# Of a tracking plan: what says nothing about how a line is read.
NO_MEANING = frozenset(
    {"label", "description", "names", "category", "channels", "expect_every", "keep", "require_done", "done_results"}
)
# Of Arrow's pools the one that keeps what is given back for a moment: pages are cleared less often for the next batch.
pa.set_memory_pool(pa.jemalloc_memory_pool())
END = object()
Item = TypeVar("Item")
log = logging.getLogger(__name__)
# The machine or the server has no room, or a statement of ours does not fit the file: that is not for the file to mend.
TAKEN_AGAIN = (
    duckdb.ProgrammingError,
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
    where %s or not exists (  -- what was corrected or is too old does not come back, unless as a correction itself
        select from raw.file where (source, sha256) = (%s, %s) and status in ('superseded', 'expired')
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


@dataclass(frozen=True)
class Content:
    """What identifies the content of a file, and what its sender declares about it."""

    sha256: str
    declared: Any
    copy: Copy  # on its way into the archive


class Loader:
    """Loads files one group at a time; use as a context manager, which closes its connections.

    Connects as jm_loader. Not safe for use by several threads; several processes may load at the same time.
    """

    def __init__(self, run_id: str, *, definitions: Path | None = None, settings: Settings | None = None) -> None:
        self.run_id = run_id
        self.sources: Sources = load_sources(definitions)
        self.pages: Pages = load_pages(definitions)
        self.transactions: Transactions = load_transactions(definitions, self.sources)
        self._time_zone = load_yaml("sessions", definitions).parse(SessionsFile).sessions.time_zone
        self._settings = settings or Settings.load()
        self.archive = Archive(self._settings.archive)
        personal = self.transactions.personal_items()
        self.protection = Protection(self.sources.personal, self._settings.secret(SECRET), personal)
        self._closing = ExitStack()
        self._plans: dict[str, str] = {}
        self._is_whole = True  # the file at hand has all the lines that were landed: none was erased since

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.callback(self._disconnect)
            self._connect()
            self.archive.clear()
            actions: dict[str, int] = dict(
                self.warehouse.execute("select action_type, action_id from raw.action").fetchall()
            )
            rules = Rules(self.sources, self.pages, self.transactions, self.protection, self._time_zone)
            cores = len(os.sched_getaffinity(0))
            number = min(ENCODERS, cores)
            self._encoders = [
                opening.enter_context(Encoder(rules, actions, cores // number, ENGINES_MEMORY // number))
                for _ in range(number)
            ]
            # A thread each for as long as the loader lives: the memory of a thread that ends is not all given back.
            self._workers = [opening.enter_context(ThreadPoolExecutor(1)) for _ in self._encoders]
            self._closing = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _connect(self) -> None:
        self.warehouse = connect("jm_loader", autocommit=True, settings=self._settings)
        self._dictionaries = connect("jm_loader", autocommit=True, settings=self._settings)

    def _is_disconnected(self) -> bool:
        return self.warehouse.broken or self._dictionaries.broken

    def _reconnect(self) -> None:
        """Connect again if a connection is lost."""
        if self._is_disconnected():
            self._disconnect()
            self._connect()
            for encoder in self._encoders:
                encoder.forget()

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
        # Nothing is tried again inside an `except`: the error holds what was in memory when it happened.
        try:
            results = self._load(group)
        except (*REFUSED, FileRejectedError, FileChangedError, psycopg.OperationalError, *TAKEN_AGAIN) as error:
            log.debug("%d files cannot be loaded together (%s); loading each half", len(group), words(error))
            middle = len(group) // 2
        else:
            yield from results
            return
        yield from self._land_group(group[:middle])
        yield from self._land_group(group[middle:])

    def _land_one(self, file: LandingFile) -> FileResult:
        """Load one file, whatever comes in between. Raises DatabaseUnreachableError if the server stays away."""
        try:
            return self._load_or_reject(file)
        except (*TAKEN_AGAIN, psycopg.OperationalError) as error:
            reason = f"{words(error)[:200]}; nothing of it is loaded, it is taken again by the next run"
        self._reconnect()
        message = one_line(f"{file.path} could not be loaded: {reason}")
        return FileResult(file.source, file.path, "failed", error=message)

    def _load_or_reject(self, file: LandingFile) -> FileResult:
        """Load one file; if PostgreSQL refuses a value, once more with a look at every value, and wide lines one by one
        if their JSON takes more than DuckDB's memory."""
        try:
            try:
                return self._load_connected(file)
            except (*REFUSED, duckdb.OutOfMemoryException) as error:
                log.debug("%s: %s; looking at every value", file.path, words(error))
            return self._load([file], careful=True)[0]
        except FileChangedError:
            reason = None
        except FileRejectedError as error:
            reason = str(error)
        except REFUSED as error:
            reason = f"cannot be stored: {words(error)[:200]}"
        # What grows while it is read is not what it will be.
        if reason is None or (file.problem is None and not file.is_unchanged()):
            message = one_line(f"{file.path} changed while it was read")
            return FileResult(file.source, file.path, "postponed", error=message)
        return self._reject(file, reason)

    def _load_connected(self, file: LandingFile) -> FileResult:
        """Load one file; once more if the connection is lost, which leaves nothing of it or all of it."""
        try:
            return self._load([file])[0]
        except psycopg.OperationalError as error:
            if not self._is_disconnected():
                raise
            log.warning("%s: connection lost (%s); connecting again", file.path, words(error))
        self._reconnect()
        return self._load([file])[0]

    def _reject(self, file: LandingFile, reason: str) -> FileResult:
        message = one_line(f"{file.path} {mask_line(reason)}")
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
        source = files[0].source
        target = TARGETS[source]
        with self.warehouse.transaction():
            results = {}
            jobs: dict[int, LandingFile] = {}
            taken: dict[int, Content] = {}
            repeats: list[tuple[LandingFile, Content]] = []
            for file, content, file_id in zip(files, contents, self._take(files, contents), strict=True):
                if file_id is None:
                    repeats.append((file, content))
                else:
                    jobs[file_id], taken[file_id] = file, content
            tallies = {file_id: Tally() for file_id in jobs}
            hashes = {file_id: content.sha256 for file_id, content in taken.items()}
            for counted in self._rows(source, jobs, hashes, careful):
                for file_id, tally in counted.items():
                    tallies[file_id].add(tally)
            for file_id, file in jobs.items():
                results[file.path] = self._checked(file, file_id, taken[file_id], tallies[file_id], target)
            self._settle(tallies)
            for file, content in repeats:  # their original may be one of these
                results[file.path] = self._repeat(file, content, target)
            keep_all([content.copy for content in taken.values()])
        return [results[file.path] for file in files]

    def _content(self, file: LandingFile) -> Content:
        if file.problem is not None:
            raise FileRejectedError(file.problem)
        copy = self.archive.copy(file)
        return Content(copy.sha256, file.declared(), copy)

    def _take(self, files: list[LandingFile], contents: list[Content]) -> list[int | None]:
        """Rows of the ledger for files to be loaded; None for a content that is loaded already, or was and has been
        corrected since or has expired. One exchange with the server, however many there are."""
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
                plan.append(self.pages.model_dump(exclude_defaults=True))
            elif source == "transactions":
                plan.append(self.transactions.model_dump())
            text = json.dumps(_without(plan, NO_MEANING), sort_keys=True, default=str)
            self._plans[source] = hashlib.sha256(text.encode()).hexdigest()[:PLAN_HASH_LENGTH]
        return self._plans[source]

    def _repeat(self, file: LandingFile, content: Content, target: Target) -> FileResult:
        """Record that the content is loaded already, unless another loader has taken the very same file. What its
        .done says it corrects, the loaded file corrects.

        Raises FileRejectedError if what is known of the content differs from what is declared now.
        """
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
            "select file_id, path, rows_read, totals, declared, archived_sha256 is not null, rows_quarantined > 0"
            " from raw.file where source = %s and sha256 = %s and status in ('loaded', 'superseded', 'expired')"
            " order by status <> 'loaded', file_id desc limit 1",
            (file.source, content.sha256),
        ).fetchone()
        if original is None:
            raise FileChangedError
        original_id, path, rows, totals, declared_then, is_erased, is_quarantined = original
        declared = Declaration.read(content.declared, target.numbers)
        then = Declaration.read(declared_then, target.numbers)  # and found right; the ledger counts what is loaded
        unknown = declared.totals.keys() - then.totals.keys() if is_erased or is_quarantined else set()
        if unknown or (is_erased and declared.rows is not None and then.rows is None):
            raise FileRejectedError(
                f"has a .done that cannot be checked: it repeats {path}, of which lines are in quarantine or erased"
            )
        known_totals = {number: Decimal(total) for number, total in totals.items()} | then.totals
        _compare(declared, content.sha256, rows if then.rows is None else then.rows, known_totals)
        if declared.supersedes is not None:
            self._supersede(file, original_id, declared.supersedes)
        file_id = self._insert(file, content, "repeated", repeat_of=original_id)
        return FileResult(file.source, file.path, "repeated", file_id)

    def _rows(
        self, source: str, jobs: dict[int, LandingFile], hashes: dict[int, str], careful: bool
    ) -> Iterator[dict[int, Tally]]:
        """Copy the rows of files of one source, and the names in them; what was counted, batch by batch."""
        for encoder in self._encoders:
            encoder.begin(source, hashes, self._dictionaries, careful)
        with (
            closing(prefetch(self._batches(jobs, careful))) as batches,
            closing(self._encoded(batches)) as encoded,
        ):
            for batch in encoded:
                for table, rows in batch.rows.items():
                    self._copy(table, rows)
                yield batch.tallies
        self._store_names()

    # ── first stage: read and cut ──

    def _batches(self, jobs: dict[int, LandingFile], careful: bool) -> Generator[Batch]:
        """Chunks with row ids; those of small files with the same columns together."""
        batch: Batch | None = None
        fitting = partial(fitting_rows, wide=CAREFUL_BATCH_BYTES if careful else WIDE_BATCH_BYTES)
        for file_id, file in jobs.items():
            for chunk in portions(self._chunks(file), lambda table: fitting(table.nbytes, table.num_rows)):
                row_ids = (np.int64(file_id) << 32) + chunk.table.column(LINE_NO).to_numpy()
                table = chunk.table.drop_columns(LINE_NO).add_column(0, ROW_ID, pa.array(row_ids, pa.int64()))
                rejects = [(file_id, reject) for reject in chunk.rejects]
                size = table.nbytes + sum(len(reject.line) for reject in chunk.rejects)
                more = Batch(file.format, table, rejects, size)
                if batch and (
                    batch.table.schema != table.schema
                    or batch.format != file.format
                    or batch.bytes + size > BATCH_BYTES
                    or batch.lines + more.lines > min(fitting(batch.bytes, batch.lines), fitting(size, more.lines))
                ):
                    yield batch
                    batch = None
                batch = batch.joined(more) if batch else more
            if not file.is_unchanged():
                raise FileChangedError
        if batch:
            yield batch

    def _chunks(self, file: LandingFile) -> Iterator[Chunk]:
        with file.open() as stream:
            # By its descriptor: a link that is put in its place meanwhile is not followed.
            yield from self._chunks_of(replace(file, location=Path(f"/proc/self/fd/{stream.fileno()}")))

    def _chunks_of(self, file: LandingFile) -> Iterator[Chunk]:
        source = self.sources.sources[file.source]
        if file.format == "parquet":
            chunks = read_parquet(file.location, file.compression)
            return chunks if self._is_whole else without_erased(chunks)
        if file.format == "csv":
            return read_csv(file.location, file.compression, source.delimiter, source.columns, source.encoding)
        if file.format == "messages":
            if file.source != "transactions":
                raise FileRejectedError("is a .dat file, which holds messages of transactions only")
            return read_messages(file.location, file.compression, self.transactions, self._is_whole)
        return read_lines(file.location, file.compression, source.encoding)

    # ── second stage: type and encode ──

    def _encoded(self, batches: Iterable[Batch]) -> Generator[Encoded]:
        """The rows of batches in their order; encoders take turns, and have work while a batch is copied."""
        coming: deque[Future[Encoded]] = deque()
        try:
            for batch, (worker, encoder) in zip(batches, cycle(zip(self._workers, self._encoders, strict=True))):
                coming.append(worker.submit(encoder.encode, batch))
                if len(coming) > len(self._workers):
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            wait([future for future in coming if not future.cancel()])

    # ── third stage: copy, and the ledger ──

    def _copy(self, table: str, rows: pa.RecordBatchReader) -> None:
        """Binary COPY of Arrow's rows into a table of schema raw."""
        written = 0
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
                for batch in rows:
                    copy.write(encoder.write_batch(batch))
                    written += batch.num_rows
                copy.write(encoder.finish())
            if cursor.rowcount != written:
                raise AssertionError(f"raw.{table} took {cursor.rowcount} rows instead of {written}")

    def _store_names(self) -> None:
        """Keep when each name of a node was last seen, whatever the order in which files arrive."""
        last: dict[tuple[int, str], datetime] = {}
        for encoder in self._encoders:
            for key, seen in encoder.names().items():
                last[key] = max(seen, last.get(key, seen))
        rows = [(*key, seen) for key, seen in sorted(last.items())]
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
        _compare(declared, content.sha256, rows_read, tally.all_totals)
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
            where (status = 'loaded' or (status = 'superseded' and superseded_by = %(file_id)s)) and file_id = (
                select file_id from raw.file
                where source = %(source)s and (sha256 = lower(%(other)s) or path = %(other)s)
                    and (status = 'loaded' or superseded_by = %(file_id)s) and file_id < %(file_id)s
                order by file_id desc limit 1
            )
            """,
            {"file_id": file_id, "source": file.source, "other": other},
        ).rowcount
        if not corrected:
            has_expired = holds(
                self.warehouse,
                "select exists (select from raw.file where source = %(source)s and status = 'expired'"
                " and (sha256 = lower(%(other)s) or path = %(other)s))",
                {"source": file.source, "other": other},
            )
            why = "has expired (keep in sources.yml)" if has_expired else "is no loaded file of its source"
            raise FileRejectedError(f"has a .done that supersedes '{other[:300]}', which {why}")


def _compare(declared: Declaration, sha256: str, rows: int, totals: Mapping[str, Decimal]) -> None:
    """Raise FileRejectedError if a content is not what its sender declares."""
    if declared.sha256 is not None and declared.sha256.lower() != sha256:
        raise FileRejectedError(f"has the sha256 {sha256}, but its .done declares {declared.sha256[:80]}")
    if declared.rows is not None and declared.rows != rows:
        raise FileRejectedError(f"has {rows} rows, but its .done declares {declared.rows}")
    for number, expected in declared.totals.items():
        found = totals.get(number, Decimal(0))
        if found != expected:
            raise FileRejectedError(
                f"has a total of {number} of {found.normalize():f}, but its .done declares {str(expected)[:80]}"
            )


def fitting_rows(size: int, rows: int, wide: int) -> int:
    """How many rows make a batch, if they are as wide as these rows of `size` bytes; of wide ones `wide` bytes."""
    is_wide = size > WIDE_LINE_BYTES * rows
    return max(1, wide * rows // size) if is_wide else BATCH_ROWS


def _without(value: Any, keys: Collection[str]) -> Any:
    """Plain values without these keys, at any depth."""
    if isinstance(value, dict):
        return {key: _without(inner, keys) for key, inner in value.items() if key not in keys}
    return [_without(inner, keys) for inner in value] if isinstance(value, list | tuple) else value


def prefetch(items: Generator[Item]) -> Generator[Item]:
    """The items, each made by another thread while the one before it is in use. Close it: it closes `items`."""
    with closing(items), ThreadPoolExecutor(1) as worker:
        coming = worker.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = worker.submit(next, items, END)
            yield item  # type: ignore[misc]
