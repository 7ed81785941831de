"""From an event, a transaction or a number of the mart back to the lines of the files it comes from."""

from __future__ import annotations

import json
import logging
import re
from bisect import bisect
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, LiteralString, Self

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.rows import dict_row

from journeymart.analysis import explained
from journeymart.db import connect, exists
from journeymart.definitions.sources import Source, load_sources
from journeymart.definitions.transactions import load_transactions
from journeymart.errors import JourneymartError, WrongUsageError
from journeymart.landing.archive import Archive, Entry
from journeymart.landing.files import LandingFile
from journeymart.landing.parquet import read_parquet
from journeymart.landing.readers import LINE, LINE_NO, FileRejectedError, as_text, read_csv, text_blocks
from journeymart.landing.targets import LINE_TABLES
from journeymart.person import person
from journeymart.settings import Settings

SHOWN_CHARACTERS = 1000
log = logging.getLogger(__name__)
# What raw.masked does in the database.
_VALUE = re.compile(r'[^\W_](?![^"]*"\s*:)')


class TraceError(JourneymartError):
    """What was asked for is not there."""


@dataclass(frozen=True)
class Line:
    """A landed line: where it lies, where it went, and what it says (masked unless asked for in full)."""

    file_id: int
    line_no: int
    source: str
    path: str
    sha256: str
    archived: str
    went_to: str
    text: str


@dataclass(frozen=True)
class File:
    """A file of the ledger behind a number, with the part of the number that is its own."""

    file_id: int
    path: str
    sha256: str
    archived: str
    rows_read: int
    rows_loaded: int
    rows_quarantined: int
    rows_duplicate: int
    rows_bot: int
    rows_mart: int
    rows_out_of_scope: int  # superseded or expired, and taken out of the mart again
    rows_erased: int
    superseded_by: int | None


class Tracer:
    """Reads as jm_builder; use as a context manager. `unmasked` shows values and is recorded in ops.access_log."""

    def __init__(
        self,
        settings: Settings,
        *,
        landing: Path | None = None,
        unmasked: bool = False,
    ) -> None:
        self._settings = settings
        self._landing = landing or settings.landing
        self._sources = load_sources()
        self._messages = load_transactions(sources=self._sources).file
        self._archive = Archive(settings.archive)
        self._unmasked = unmasked

    def __enter__(self) -> Self:
        self._warehouse = connect("jm_builder", autocommit=True, settings=self._settings)
        with suppress(psycopg.errors.UndefinedFunction):  # nothing has been published yet
            self._warehouse.execute(  # dates are those of the dashboards
                "select set_config('timezone', mart.time_zone(), false)"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._warehouse.close()

    # ── what may be asked for ──

    def event(self, event_id: str) -> list[Line]:
        """Every line that has brought this event, also those of files that corrected ones have superseded."""
        return self._lines(
            """
            select c.row_id from raw.event as e inner join raw.clickstream as c using (row_id)
            where e.event_hash = ('x' || left(md5(%(id)s), 16))::bit(64)::bigint and c.event_id = %(id)s
            union all
            select unnest(%(removed)s::bigint[])
            """,
            {"id": event_id, "removed": self._removed("clickstream", "event_id", event_id)},
            f"event {event_id}",
        )

    def transaction(self, transaction_id: str) -> list[Line]:
        """Every line that has brought this transaction, also those of files that corrected ones have superseded."""
        return self._lines(
            """
            select row_id from raw.transactions where transaction_id = %(id)s
            union all
            select unnest(%(removed)s::bigint[])
            """,
            {"id": transaction_id, "removed": self._removed("transactions", "transaction_id", transaction_id)},
            f"transaction {transaction_id}",
        )

    def line(self, file_id: int, line_no: int) -> list[Line]:
        """A line by its number."""
        return self._lines(
            "select %(row_id)s::bigint as row_id",
            {"row_id": file_id << 32 | line_no},
            f"line {line_no} of file {file_id}",
        )

    def funnel(self, funnel_id: str, subject_id: str) -> list[Line]:
        """The lines of the steps that a customer or visitor has taken in a funnel. Raises WrongUsageError, with those
        there are, if there is no such funnel."""
        with explained():
            rows = self._query("select definition_id as id from mart.definition where kind = 'funnels' order by 1", {})
        known = [row["id"] for row in rows]  # the steps of rules are reported as funnels
        if funnel_id not in known:
            names = ", ".join(name for name in known if not name.startswith("DR-"))
            raise WrongUsageError(f"there is no funnel {funnel_id}; there are {names or 'none'}")
        return self._lines(
            """
            select distinct m.row_id
            from mart.funnel_entry as e
            inner join mart.step_match as m on m.person_key = e.subject_key and m.matched_at = any(e.step_times)
            where e.funnel_id = %(funnel)s and e.subject_id = %(subject)s
            """,
            {"funnel": funnel_id, "subject": subject_id},
            f"step of {subject_id} in funnel {funnel_id}",
        )

    def status(self, source: str, landed: date) -> list[File]:
        """The files behind a row of mart.data_status: their numbers add up to it."""
        rows = self._query(
            """
            select file_id, path, coalesce(archived_sha256, sha256) as sha256, source, format, rows_read, rows_loaded,
                rows_quarantined, rows_duplicate,
                rows_bot, rows_mart, case when removed_id is not null then rows_loaded else 0 end as rows_out_of_scope,
                rows_erased, superseded_by
            from raw.file
            where source = %(source)s and loaded_at::date = %(landed)s and publication_id is not null
                and status in ('loaded', 'superseded', 'expired')
            order by file_id
            """,
            {"source": source, "landed": landed},
        )
        if not rows:
            raise TraceError(f"there is no file of {source} that was loaded on {landed} and has been published")
        return [
            File(**{key: value for key, value in row.items() if key not in ("source", "format")}, archived=place)
            for row in rows
            for place in [self._place(row)]
        ]

    # ── how it is found ──

    def _query(self, statement: Any, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        with self._warehouse.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement, parameters).fetchall()

    def _lines(self, rows: LiteralString, parameters: dict[str, Any], what: str) -> list[Line]:
        if self._unmasked:
            self._warehouse.execute(
                "insert into ops.access_log (user_name, object, purpose) values (%s, 'archive', %s)",
                (person(), f"trace {what}"),
            )
        quarantine = sql.Identifier("quarantine" if self._unmasked else "quarantine_masked")  # a reason quotes values
        try:
            went_to = sql.SQL(_WENT_TO).format(quarantine=quarantine)
            found = self._query(
                sql.SQL("with found as ({}), landed as ({}) {}").format(sql.SQL(rows), _LANDED, went_to), parameters
            )
        except psycopg.errors.UndefinedTable:
            if exists(self._warehouse, "mart.definition"):
                raise
            raise TraceError("nothing has been published yet") from None
        if not found:
            raise TraceError(f"there is no {what}")
        wanted: dict[int, set[int]] = {}
        for row in found:
            wanted.setdefault(row["file_id"], set()).add(row["line_no"])
        texts = {
            (row["file_id"], number): text
            for row in {row["file_id"]: row for row in found if not row["is_cleared"]}.values()
            for number, text in self._read(row, wanted[row["file_id"]])
        }
        for row in found:
            if row["went_to"].startswith("nowhere") and (row["file_id"], row["line_no"]) not in texts:
                raise TraceError(f"{row['path']} has no line {row['line_no']}")
        return [
            Line(
                row["file_id"], row["line_no"], row["source"], row["path"], row["sha256"], self._place(row),
                row["went_to"], texts.get((row["file_id"], row["line_no"]), ""),
            )
            for row in found
        ]  # fmt: skip

    def _removed(self, source: str, field: str, value: str) -> list[int]:
        """Row ids of lines with this id in superseded files, of which raw has no rows any more: they are looked for in
        the archive, which keeps them until they expire."""
        files = self._query(
            """
            select source, min(path) as path, min(format) as format, coalesce(archived_sha256, sha256) as sha256,
                array_agg(file_id) as file_ids
            from raw.file
            where removed_id is not null and cleared_at is null and source = %(source)s
            group by source, coalesce(archived_sha256, sha256)
            """,
            {"source": source},
        )
        plan = self._sources.sources[source]
        columns = plan.fields[field].columns(field)
        found = []
        for row in files:
            try:
                file = self._archive.original(self._sources, self._landing, self._entry(row))
            except FileRejectedError as error:
                log.warning("%s %s: its lines cannot be looked for", row["path"], error)
                continue
            numbers = list(_numbers_with(file, value, columns, plan))
            found += [file_id << 32 | number for file_id in row["file_ids"] for number in numbers]
        return found

    def _entry(self, row: dict[str, Any]) -> Entry:
        return Entry(row["source"], row["path"], row["format"], row["sha256"])

    def _place(self, row: dict[str, Any]) -> str:
        place = self._archive.place(self._entry(row))
        return str(place) if place.exists() else ""

    def _read(self, row: dict[str, Any], numbers: set[int]) -> Iterator[tuple[int, str]]:
        """The text of lines of one file."""
        try:
            file = self._archive.original(self._sources, self._landing, self._entry(row))
        except FileRejectedError as error:
            raise TraceError(f"{row['path']} {error}") from error
        plan = self._sources.sources[file.source]
        if file.format == "messages" and self._messages:
            plan = plan.model_copy(update={"encoding": self._messages.encoding})
        for number, text in _texts(file, numbers, plan):
            yield number, text if self._unmasked else masked(text)


_LANDED = sql.SQL(" union all ").join(
    sql.SQL("select row_id from raw.{} where row_id in (select row_id from found)").format(sql.Identifier(table))
    for table in LINE_TABLES
)
_WENT_TO: LiteralString = """
select
    f.file_id, r.line_no, f.source, f.path, f.format, coalesce(f.archived_sha256, f.sha256) as sha256,
    f.cleared_at is not null as is_cleared,
    case
        when x.publication_id is not null then 'erased with its customer'
        when q.reason is not null then 'quarantine: ' || coalesce(q.field || ': ', '') || q.reason
        when f.removed_id is not null or (f.status in ('superseded', 'expired') and l.row_id is not null) then
            'out of scope' || case when f.removed_id is null then ' with the next publication' else '' end
            || ': ' || coalesce('superseded by file ' || f.superseded_by, 'expired')
        when d.of_row_id is not null then
            'duplicate of line ' || (d.of_row_id & 4294967295) || ' of file ' || (d.of_row_id >> 32)
        when b.row_id is not null then 'bot'
        when l.row_id is not null and (f.publication_id is null or p.row_id is not null) then
            'mart, with the next publication'
        when l.row_id is not null then 'mart'
        else 'nowhere: a header or an empty line'
    end as went_to
from (select row_id, (row_id >> 32)::integer as file_id, row_id & 4294967295 as line_no from found) as r
inner join raw.file as f on f.file_id = r.file_id
left join raw.{quarantine} as q on q.file_id = r.file_id and q.line_no = r.line_no
left join landed as l on l.row_id = r.row_id
left join raw.erased_line as x on x.row_id = r.row_id
left join raw.replay as p on p.row_id = r.row_id and p.publication_id is null
left join mart.line_duplicate as d on d.row_id = r.row_id
left join mart.line_bot as b on b.row_id = r.row_id
order by r.row_id
"""


def masked(text: str) -> str:
    """The shape of a line and the keys of its JSON, nothing of its values."""
    return _VALUE.sub("x", text[:SHOWN_CHARACTERS])


def _numbers_with(file: LandingFile, value: str, columns: Iterable[str], plan: Source) -> Iterator[int]:
    """Numbers of lines with a value, as a whole word; of Parquet, in one of these columns."""
    if file.format == "parquet":
        for chunk in read_parquet(file.location, file.compression):
            for column in set(columns) & set(chunk.table.column_names):
                same = pc.equal(chunk.table.column(column).cast("string"), value)
                yield from chunk.table.column(LINE_NO).filter(same).to_pylist()
        return
    written = {text.encode(plan.encoding, "backslashreplace") for text in (value, json.dumps(value)[1:-1])}
    found: set[int] = set()
    for lines, _ in text_blocks(file.location, file.compression):
        starts = list(_words_at(lines.data.tobytes(), written))
        found.update(lines.numbers[np.searchsorted(lines.starts, starts, side="right") - 1].tolist())
    if file.format == "csv" and found:  # a record may be several lines
        begins = sorted(number for number, _ in _records(file, plan))
        found = {begins[bisect(begins, number) - 1] for number in found if begins and number >= begins[0]}
    yield from sorted(found)


def _records(file: LandingFile, plan: Source, among: Iterable[int] | None = None) -> Iterator[tuple[int, str]]:
    """Records of a CSV file by the line on which they begin."""
    for chunk in read_csv(file.location, file.compression, plan.delimiter, plan.columns, plan.encoding):
        table = chunk.table.select([LINE_NO, LINE])
        if among is not None:
            table = table.filter(pc.is_in(table.column(LINE_NO), pa.array(among, pa.int64())))
        for number, text in zip(*(column.to_pylist() for column in table.columns), strict=True):
            yield number, text.rstrip("\r\n")
        yield from ((reject.line_no, reject.line) for reject in chunk.rejects)


def _words_at(data: bytes, written: Iterable[bytes]) -> Iterator[int]:
    """Where one of these texts is, as a whole word. A regular expression that looks around takes ten times as long."""
    for text in written:
        at = data.find(text)
        while at >= 0:
            end = at + len(text)
            if not (data[max(at - 1, 0) : at].isalnum() or data[end : end + 1].isalnum()):
                yield at
            at = data.find(text, at + 1)


def _texts(file: LandingFile, numbers: set[int], plan: Source) -> Iterator[tuple[int, str]]:
    """Lines by number; records of a CSV file as a whole, and rows of a Parquet file as JSON."""
    if file.format == "csv":
        records = {number: text for number, text in _records(file, plan, numbers) if number in numbers}
        yield from records.items()
        numbers = numbers - records.keys()  # a header, what is within a record
    if not numbers:
        return
    last = max(numbers)
    if file.format == "parquet":
        for chunk in read_parquet(file.location, file.compression):
            found = chunk.table.column(LINE_NO).to_pylist()
            for position, number in enumerate(found):
                if number in numbers:
                    [row] = chunk.table.slice(position, 1).to_pylist()
                    del row[LINE_NO]
                    yield number, json.dumps(row, ensure_ascii=False, default=str)
            if found and found[-1] >= last:
                return
        return
    for lines, _ in text_blocks(file.location, file.compression):
        if not len(lines.numbers):
            continue
        for number in sorted(numbers.intersection(range(int(lines.numbers[0]), int(lines.numbers[-1]) + 1))):
            yield number, as_text(lines.raw(number - int(lines.numbers[0])), plan.encoding)
        if int(lines.numbers[-1]) >= last:
            return
