"""Proof of an erasure: everything that is kept here is searched for the number, and only if it is nowhere there is a
certificate, `$JOURNEYMART_HOME/docs/erasures/…html`, with its sha256 in ops.erasure.

Searched are, byte by byte, the columns that hold text of every table that the databases have, their statistics, and
every file of the home, decompressed. Memory does not grow with them.
"""

from __future__ import annotations

import hashlib
import html
import json
import lzma
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
import pyarrow as pa
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from psycopg import sql
from psycopg.rows import dict_row
from pyarrow import parquet

from journeymart.db import connect
from journeymart.definitions.sources import Sources, load_sources
from journeymart.erasure import ARCHIVED, ErasureError, anywhere, as_word, identify
from journeymart.errors import WrongUsageError, one_line
from journeymart.files import replacing
from journeymart.landing.archive import BLOCK_BYTES, Archive, Entry
from journeymart.landing.readers import FileRejectedError, uncompressed
from journeymart.person import person
from journeymart.settings import METADATA_ROLES, Settings, SettingsError

_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}
_ZIP, _XZ = b"PK\3\4", b"\xfd7zXZ\0"
_UNREADABLE = (
    OSError, EOFError, RuntimeError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, pa.ArrowException,
    FileRejectedError,
)  # fmt: skip
_ESCAPE = len(r"\u0000")  # before a number
_STATE: LiteralString = """
    select
        e.*,
        exists (
            select from raw.erased_line as l where l.erasure_id = e.erasure_id and l.publication_id is null
        ) as is_waiting,
        greatest(
            e.archived_at,
            (
                select max(p.published_at)
                from ops.publication as p
                where p.publication_id in (
                    select l.publication_id from raw.erased_line as l where l.erasure_id = e.erasure_id
                )
            )
        ) as finished_at
    from ops.erasure as e
    where e.customer_hash = %s
"""
# By source, and whether the ledger adds up: what a file had is what it has, was rejected or went with its customer, and
# as many went as requests have named.
_LINES: LiteralString = """
    with erased as (
        select
            (l.row_id >> 32)::integer as file_id,
            count(*) as lines,
            count(*) filter (where l.erasure_id = %(id)s) as of_customer
        from raw.erased_line as l
        where l.publication_id is not null
        group by 1
    )
    select
        f.source,
        count(*) as files,
        sum(e.of_customer)::bigint as lines,
        sum(f.rows_read)::bigint as landed,
        sum(f.rows_loaded)::bigint as loaded,
        sum(f.rows_quarantined)::bigint as quarantined,
        sum(f.rows_erased)::bigint as erased,
        bool_and(
            f.rows_read = f.rows_loaded + f.rows_quarantined + f.rows_erased and f.rows_erased = e.lines
        ) as adds_up
    from erased as e
    inner join raw.file as f on e.file_id = f.file_id
    where e.of_customer > 0
    group by 1
    order by 1
"""
_TABLES: LiteralString = """
    select
        n.nspname,
        c.relname,
        pg_table_size(c.oid),
        array_agg(a.attname::text order by a.attnum),
        array_agg(
            format(case t.typname when 'bytea' then 'encode(t.%I, ''escape'')' else 't.%I::text' end, a.attname)
            order by a.attnum
        )
    from pg_class as c
    inner join pg_namespace as n on c.relnamespace = n.oid
    inner join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    inner join pg_type as t on a.atttypid = t.oid
    left join pg_type as e on t.typcategory = 'A' and t.typelem = e.oid
    where
        c.relkind in ('r', 'm')
        and n.nspname !~ '^pg_'
        and n.nspname <> 'information_schema'
        and coalesce(e.typcategory, t.typcategory) in ('S', 'U')
        and coalesce(e.typname, t.typname) <> 'uuid'
    group by 1, 2, 3
    order by 1, 2
"""
_STATISTICS: LiteralString = """
    select schemaname, tablename, attname, regexp_count(concat_ws(' ', most_common_vals, histogram_bounds), %(word)s)
    from (
        select schemaname, tablename, attname, most_common_vals::text, histogram_bounds::text from pg_stats
    ) as s
    where concat_ws(' ', most_common_vals, histogram_bounds) like any(%(like)s::text[])
"""


@dataclass
class Place:
    """A part of what was searched: a schema with its columns, or a folder with its files."""

    parts: int = 0
    bytes: int = 0


@dataclass
class Search:
    """What was searched, what could not be, and where what was looked for is written, how often."""

    places: dict[str, Place] = field(default_factory=dict)
    unreachable: list[str] = field(default_factory=list)
    found: dict[str, int] = field(default_factory=dict)

    def add(self, place: str, name: str, size: int, found: int) -> None:
        """A column or file of a place."""
        entry = self.places.setdefault(place, Place())
        entry.parts += 1
        entry.bytes += size
        if found:
            self.found[name] = found


@dataclass(frozen=True)
class Certificate:
    """The outcome: there is a `page`, with its sha256, unless something was found."""

    erasure_id: int
    search: Search
    page: Path | None
    sha256: str | None


@dataclass(frozen=True)
class _Number:
    """What is looked for: in every spelling, as a word and anywhere."""

    spellings: frozenset[str]
    encodings: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str], sources: Sources) -> _Number:
        spelled = set(names)
        for _ in range(2):  # JSON in JSON, in an address, in bytes
            spelled = {spelling for name in spelled for spelling in _spellings(name)}
        return cls(frozenset(spelled), frozenset({"utf-8", *(plan.encoding for plan in sources.sources.values())}))

    @property
    def like(self) -> list[str]:
        """Patterns for `like`, which is much faster than the expression."""
        return ["%" + re.sub(r"([\\%_])", r"\\\1", spelling) + "%" for spelling in self.spellings]

    def encoded(self, *, is_word: bool = True) -> tuple[re.Pattern[bytes], list[bytes]]:
        """An expression for bytes, and the bytes where it is to be tried."""
        bare = {
            spelling.encode(encoding, "xmlcharrefreplace").decode("latin-1")
            for spelling in self.spellings
            for encoding in self.encodings
        }
        expression = as_word(bare) if is_word else anywhere(bare)
        return re.compile(expression.encode("latin-1")), [name.encode("latin-1") for name in bare]


def _spellings(text: str) -> tuple[str, ...]:
    """As it is, and as JSON, HTML, addresses and PostgreSQL's `encode(…, 'escape')` have it."""
    inside = (json.dumps(text, ensure_ascii=is_ascii)[1:-1] for is_ascii in (True, False))
    escaped = text.encode().replace(b"\\", rb"\\").decode("latin-1")
    as_bytes = "".join(byte if byte.isascii() else f"\\{ord(byte):03o}" for byte in escaped)
    return text, *inside, html.escape(text), quote(text), as_bytes


def certify(settings: Settings, customer_id: str, *devices: str, definitions: Path | None = None) -> Certificate:
    """Search for the number of a customer who was erased, and for devices', and write the certificate if they are
    nowhere.

    Raises ErasureError if the customer was not erased, or not yet, the archive lacks a file, or the ledger does not add
    up.
    """
    if not all((customer_id, *devices)):
        raise WrongUsageError("say whose erasure is to be certified")
    sources = load_sources(definitions)
    names, customer_hash = identify(settings, sources, customer_id)
    for device in devices:
        names += identify(settings, sources, device, "device")[0]
    number = _Number.of(names, sources)
    search = Search()
    with connect("jm_privacy", settings=settings, autocommit=True) as warehouse:
        state = warehouse.cursor(row_factory=dict_row).execute(_STATE, (customer_hash,)).fetchone()
        if state is None:
            raise ErasureError("nobody has asked to erase this customer: `journeymart erase`")
        if state["archived_at"] is None or state["replaced"]:
            raise ErasureError("the erasure was cut short: ask for it again")
        if state["is_waiting"]:
            raise ErasureError("lines wait for the next run, which takes them away: certify after it")
        lines = warehouse.cursor(row_factory=dict_row).execute(_LINES, {"id": state["erasure_id"]}).fetchall()
        wrong = [row["source"] for row in lines if not row["adds_up"]]
        if wrong:
            raise ErasureError(f"the ledger does not add up for files of {', '.join(wrong)}")
        _require_archive(warehouse, Archive(settings.archive), state["erasure_id"])
        _search_database(warehouse, "warehouse", number, search)
        for role in METADATA_ROLES:
            try:
                with connect(role, database=role, settings=settings, autocommit=True) as metadata:
                    _search_database(metadata, role, number, search)
            except SettingsError:  # no password of it here, as in containers
                search.unreachable.append(role)
        _search_files(settings, number, search)
        if search.found:
            return Certificate(state["erasure_id"], search, None, None)
        [(now,)] = warehouse.execute("select clock_timestamp()").fetchall()
        page, sha256 = _write(settings, state, lines, search, now, len(devices))
        warehouse.execute(
            "update ops.erasure set certified_at = %s, certificate_sha256 = %s where erasure_id = %s",
            (now, sha256, state["erasure_id"]),
        )
    return Certificate(state["erasure_id"], search, page, sha256)


def _require_archive(warehouse: psycopg.Connection, archive: Archive, erasure_id: int) -> None:
    """Raise ErasureError if files that may have such lines are not where the archive is said to be."""
    files = [Entry(*place) for _, _, *place in warehouse.execute(ARCHIVED, {"id": erasure_id})]
    gone = [entry for entry in files if not archive.place(entry).exists()]
    if gone:
        raise ErasureError(
            f"{len(gone)} files that may have such lines are not in the archive {archive.directory}, as"
            f" {one_line(gone[0].path)}: name the right one (JOURNEYMART_ARCHIVE), or put them back from the backup;"
            " then erase again"
        )


def _search_database(connection: psycopg.Connection, name: str, number: _Number, search: Search) -> None:
    """Every column that can hold a text, and what the planner remembers of it. The number is a parameter: it is in no
    log of the server."""
    looked_for = {"word": as_word(number.spellings), "like": number.like}
    columns = set()
    for schema, table, size, names, texts in connection.execute(_TABLES).fetchall():
        counts = sql.SQL(", ").join(
            sql.SQL("sum(regexp_count({0}, %(word)s)) filter (where {0} like any(%(like)s::text[]))").format(
                sql.SQL(text)
            )
            for text in texts
        )
        query = sql.SQL("select {} from {} as t").format(counts, sql.Identifier(schema, table))
        try:
            [found] = connection.execute(query, looked_for).fetchall()
        except psycopg.errors.UndefinedTable:  # a run has just made room for its own
            continue
        for position, (column, count) in enumerate(zip(names, found, strict=True)):
            columns.add((schema, table, column))
            search.add(f"{name}.{schema}", f"{name}.{schema}.{table}.{column}", 0 if position else size, count or 0)
    for schema, table, column, count in connection.execute(_STATISTICS, looked_for).fetchall():
        if count and (schema, table, column) in columns:
            search.found[f"{name}.{schema}.{table}.{column} (pg_stats)"] = count


def _search_files(settings: Settings, number: _Number, search: Search) -> None:
    """Every file of the home and of the archive, but for the landing zone and the database's own."""
    word, bare = number.encoded(), number.encoded(is_word=False)
    seen = {settings.landing.resolve(), (settings.home / "postgres" / "data").resolve()}
    for root in (settings.home, settings.archive):
        if root.resolve() in seen:
            continue
        for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
            here = Path(folder)
            folders[:] = [name for name in folders if (here / name).resolve() not in seen]
            seen.update((here / name).resolve() for name in folders)
            for path in (here / name for name in names if (here / name).is_file()):
                known = path.relative_to(root)
                place = "archive" if root == settings.archive else known.parts[0] if len(known.parts) > 1 else "(home)"
                has_fields = ".dat" in path.suffixes
                try:
                    size, found = _count(_blocks(path), *(bare if has_fields else word))
                except FileNotFoundError:  # logs come and go
                    continue
                except _UNREADABLE as error:
                    raise ErasureError(f"{path} cannot be searched: {error}") from error
                found += len(word[0].findall(os.fsencode(known)))
                search.add(f"files/{place}", str(path), size, found)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise ErasureError(f"{error.filename} cannot be searched: {error.strerror}") from error


def _blocks(path: Path) -> Iterator[bytes]:
    """The content of a file, in blocks: decompressed, and rows of Parquet as text."""
    with path.open("rb") as file:
        magic = file.read(len(_XZ))
    if magic.startswith(_ZIP):
        with zipfile.ZipFile(path) as members:
            for member in members.infolist():
                yield f"\n{member.filename}\n".encode()
                with members.open(member) as content:
                    yield from iter(partial(content.read, BLOCK_BYTES), b"")
        return
    if magic == _XZ:
        with lzma.open(path) as content:
            yield from iter(partial(content.read, BLOCK_BYTES), b"")
        return
    compression = next((name for begin, name in _MAGIC.items() if magic.startswith(begin)), None)
    if ".parquet" in path.suffixes:
        with uncompressed(path, compression) as plain:
            for batch in parquet.ParquetFile(plain, buffer_size=BLOCK_BYTES).iter_batches(batch_size=4096):
                yield repr(batch.to_pylist()).encode()
        return
    with pa.input_stream(str(path), compression=compression) as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def _count(blocks: Iterable[bytes], number: re.Pattern[bytes], needed: list[bytes]) -> tuple[int, int]:
    """Bytes, and how often the number is in them, also where one block ends and the next begins."""
    margin = max(map(len, needed)) + _ESCAPE
    size = found = begin = 0
    text = b""
    for block in chain(blocks, [b""]):
        size += len(block)
        text += block
        end = max(len(text) - margin, begin) if block else len(text)
        # to try the expression everywhere takes twenty times as long
        starts = {at.start() for name in needed if name in text for at in re.finditer(re.escape(name), text)}
        found += sum(begin <= start < end and number.match(text, start) is not None for start in starts)
        kept = max(end - margin, 0)
        text, begin = text[kept:], end - kept
    return size, found


def _write(
    settings: Settings, state: dict[str, Any], lines: list[dict[str, Any]], search: Search, now: datetime, devices: int
) -> tuple[Path, str]:
    """The page, and its sha256."""
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    content = pages.get_template("certificate.html.j2").render(
        state=state, lines=lines, search=search, now=now, devices=devices, by=person(), time="%Y-%m-%d %H:%M:%S %Z"
    ).encode()  # fmt: skip
    folder = settings.docs / "erasures"
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"erasure-{state['erasure_id']}-{now:%Y%m%dT%H%M%S}.html"
    with replacing(page) as file:
        file.write(content)
    return page, hashlib.sha256(content).hexdigest()
