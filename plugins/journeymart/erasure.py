"""Erasure: a customer's lines leave raw, quarantine, archive and mart; that there were lines stays in the ledger.

The request names the lines, in one transaction (raw.erased_line). The archive is written anew without them, file by
file; the next run takes their rows from the mart and, in the same transaction, from raw (raw.remove_erased), and with
the last of them the customer's number. Files of audiences that name the customer are removed at once; the delivery
after that run writes them anew. Killed at any moment, the request made again goes on where it was.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from journeymart.db import alone, await_delivery, connect, exists
from journeymart.definitions.sources import Sources, load_sources
from journeymart.errors import JourneymartError, WrongUsageError, one_line
from journeymart.landing.archive import Archive, Entry
from journeymart.landing.protection import SECRET, Protection
from journeymart.landing.readers import FileRejectedError
from journeymart.landing.targets import LINE_TABLES
from journeymart.person import person
from journeymart.settings import Settings

logger = logging.getLogger(__name__)

_OF_CUSTOMER = "select row_id from raw.{table} where customer_key = any((select keys from who)::integer[])"
_OF_SESSIONS = """
    union all
    select e.row_id
    from mart.session_fact as s
    inner join mart.session_event as e on s.visitor_key = e.visitor_key and s.started_at = e.started_at
    where
        s.customer_key = any((select keys from who)::integer[])
        and coalesce(e.customer_key = any((select keys from who)::integer[]), true)"""
_REPEATS = "union select d.row_id from mart.line_duplicate as d inner join found as o on d.of_row_id = o.row_id"
_NAMED: LiteralString = "select row_id & 4294967295 from raw.erased_line where (row_id >> 32)::integer = any(%s)"
_REJECTED: LiteralString = "select line_no from raw.quarantine where file_id = any(%s)"

# Files whose copies in the archive may have lines of an erasure.
ARCHIVED: LiteralString = """
    select f.file_id, f.removed_id is not null, f.source, f.path, f.format, coalesce(f.archived_sha256, f.sha256)
    from raw.file as f
    where
        f.status in ('loaded', 'superseded', 'expired')
        and f.cleared_at is null
        and (
            f.file_id in (select (row_id >> 32)::integer from raw.erased_line where erasure_id = %(id)s)
            or f.removed_id is not null
            or f.file_id in (select q.file_id from raw.quarantine as q where q.line is null)
        )
"""


class ErasureError(JourneymartError):
    """The customer was not erased; the message says why."""


@dataclass(frozen=True)
class Erasure:
    """What was asked for: lines that go with the next run, files of the archive written anew, exports of audiences that
    were removed, and the landed files that held such lines, by whether they still lie in the landing zone."""

    erasure_id: int
    lines: int
    archived: int
    exports: int
    landed: list[str]
    elsewhere: list[str]


def erase(
    settings: Settings, customer_id: str, reason: str, landing: Path, *, definitions: Path | None = None
) -> Erasure:
    """Name the customer's lines, and take them from the archive. The next run takes them from raw and mart.

    Lines that land later are new ones: ask again. Raises WrongUsageError without a reason or a number, and ErasureError
    for a customer of whom nothing has landed, while a run is being built, and for a damaged file of the archive.
    """
    if not reason.strip():
        raise WrongUsageError("say why the customer is erased; the reason is kept")
    sources = load_sources(definitions)
    names, customer_hash = identify(settings, sources, customer_id)
    busy = ErasureError("a run is being built; ask again when it has ended")  # which reads raw
    with connect("jm_privacy", settings=settings, autocommit=True) as warehouse, alone(warehouse, "build", busy):
        with warehouse.transaction():
            erasure_id = _record(warehouse, customer_hash, names, reason)
            _name_lines(warehouse, erasure_id, names)
        archived = _clear_archive(warehouse, Archive(settings.archive), sources, erasure_id, names)
        await_delivery(warehouse)  # and from now on there is none before the lines are gone
        exports = _clear_exports(settings.export, names)
        warehouse.execute("select raw.forget_customers()")  # if no line was left to take away
        landed = warehouse.execute(
            """
            with held as (
                select (row_id >> 32)::integer as file_id from raw.erased_line where erasure_id = %(id)s
                union
                select unnest(%(written)s::integer[])
            )
            select distinct f.path
            from raw.file as f
            where exists (select from held as h where h.file_id in (f.file_id, f.repeat_of))
            order by 1
            """,
            {"id": erasure_id, "written": list(chain.from_iterable(archived))},
        ).fetchall()
        [(lines,)] = warehouse.execute(
            "select count(*) from raw.erased_line where erasure_id = %s and publication_id is null", (erasure_id,)
        ).fetchall()
    there = {path: (landing / path).exists() for (path,) in landed}
    return Erasure(
        erasure_id,
        lines,
        len(archived),
        exports,
        [path for path, is_there in there.items() if is_there],
        [path for path, is_there in there.items() if not is_there],
    )  # fmt: skip


def identify(settings: Settings, sources: Sources, number: str, kind: str = "customer") -> tuple[list[str], str]:
    """A number as it may be written, pseudonyms included, and the keyed hash that ops.erasure has of a customer's."""
    if not any(map(str.isalnum, number)):  # it would be found in every line
        raise WrongUsageError(f"say which {kind}: a number has a letter or a digit")
    secret = settings.secret(SECRET)
    protection = Protection(sources.personal, secret)
    names = [number, protection.key(number), protection.pseudonym(kind, number)]
    return names, hmac.digest(secret.encode(), f"erased:{number}".encode(), "sha256").hex()


def _record(warehouse: psycopg.Connection, customer_hash: str, names: list[str], reason: str) -> int:
    """The request, without the number; the same customer's second request is the first with what has come since."""
    row = warehouse.execute(
        """
        with known as (select array_agg(customer_key) as keys from raw.customer where customer_id = any(%(names)s))
        insert into ops.erasure as e (customer_hash, customer_keys, reason, requested_by)
        select %(hash)s, coalesce(k.keys, '{}'), %(reason)s, %(user)s
        from known as k
        where
            k.keys is not null
            or exists (select from ops.erasure as o where o.customer_hash = %(hash)s)
            or exists (select from raw.quarantine as q where concat_ws(' ', q.line, q.reason) ~ %(number)s)
        on conflict (customer_hash) do update set
            customer_keys = (
                select array_agg(distinct u.key) from unnest(e.customer_keys || excluded.customer_keys) as u (key)
            ),
            reason = concat_ws('; ', e.reason, nullif(excluded.reason, e.reason)),
            requested_at = case when e.certified_at is null then e.requested_at else excluded.requested_at end,
            archived_at = null,
            certified_at = null,
            certificate_sha256 = null
        returning e.erasure_id
        """,
        {
            "names": names, "hash": customer_hash, "reason": reason, "user": person(), "number": as_word(names),
        },
    ).fetchone()  # fmt: skip
    if row is None:
        raise ErasureError("nothing of this customer has landed")
    return int(row[0])


def _name_lines(warehouse: psycopg.Connection, erasure_id: int, names: list[str]) -> None:
    """Lines with the customer's number, those of sessions that are the customer's, and what repeats them."""
    found = " union all ".join(_OF_CUSTOMER.format(table=table) for table in LINE_TABLES)
    is_published = exists(warehouse, "mart.session_event")
    if is_published:
        found += _OF_SESSIONS
    repeats = _REPEATS if is_published else ""
    warehouse.execute(
        f"""
        with who as (select customer_keys as keys from ops.erasure where erasure_id = %(id)s),
        found as ({found})
        insert into raw.erased_line (row_id, erasure_id, is_rejected)
        select row_id, %(id)s, false from (select row_id from found {repeats}) as lines
        on conflict do nothing
        """.encode(),  # noqa: S608 - constants
        {"id": erasure_id},
    )
    warehouse.execute(
        """
        insert into raw.erased_line (row_id, erasure_id, is_rejected)
        select (file_id::bigint << 32) + line_no, %(id)s, true
        from raw.quarantine
        where concat_ws(' ', line, reason) ~ %(number)s
        on conflict do nothing
        """,
        {"id": erasure_id, "number": as_word(names)},
    )


def as_word(names: Iterable[str]) -> str:
    """A regular expression for one of the names as a whole, for PostgreSQL and Python. What stands before it may be the
    end of an escape: `\\n`, `\\u3000`, `\\xa0`, `%20`, `\\240`."""
    escapes = (r"\\[bfnrt]", r"\\u[0-9A-Fa-f]{4}", r"\\x[0-9A-Fa-f]{2}", "%[0-9A-Fa-f]{2}", r"\\[0-7]{3}")
    begins = "|".join(["(?<![0-9A-Za-z])", *(f"(?<={escape})" for escape in escapes)])
    return f"(?:{begins})(?:{anywhere(names)})(?![0-9A-Za-z])"


def anywhere(names: Iterable[str]) -> str:
    """A regular expression for one of the names beside whatever: fields of messages have nothing between them."""
    return "|".join(re.escape(name) for name in sorted(set(names)))


def _clear_archive(
    warehouse: psycopg.Connection, archive: Archive, sources: Sources, erasure_id: int, names: list[str]
) -> list[list[int]]:
    """Write the archived files with such lines anew, without them. Returns, for each, its ids in the ledger.

    Of files that corrected ones have superseded raw has no rows any more, so their lines are looked for by the number,
    as are lines of which quarantine keeps nothing.
    """
    _discard(warehouse, archive)
    contents: dict[Entry, list[tuple[int, bool]]] = {}
    for file_id, is_superseded, *place in warehouse.execute(ARCHIVED, {"id": erasure_id}):
        contents.setdefault(Entry(*place), []).append((file_id, is_superseded))
    written = []
    for entry, files in contents.items():
        if not archive.place(entry).exists():
            logger.warning("%s is not in the archive %s", one_line(entry.path), archive.directory)  # certify refuses it
            continue
        named, rejected = (_numbers(warehouse, query, files) for query in (_NAMED, _REJECTED))
        everywhere = all(is_superseded for _, is_superseded in files)
        expression = anywhere(names) if entry.format == "messages" else as_word(names)
        number = re.compile(expression.encode(sources.sources[entry.source].encoding))
        try:
            erased = archive.erased(sources, entry, named, number, None if everywhere else rejected)
        except FileRejectedError as error:
            raise ErasureError(one_line(f"{entry.path} {error}")) from error
        if erased is None:
            continue
        written.append([file_id for file_id, _ in files])
        copy, lines = erased
        try:
            copy.keep()
        finally:
            copy.discard()
        with warehouse.transaction():
            warehouse.execute(
                "update raw.file set archived_sha256 = %s where file_id = any(%s)",
                (copy.sha256, written[-1]),
            )
            warehouse.execute(
                "insert into raw.erased_line (row_id, erasure_id, is_rejected)"
                " select (q.file_id::bigint << 32) + q.line_no, %s, true from raw.quarantine as q"
                " where q.file_id = any(%s) and q.line_no = any(%s) on conflict do nothing",
                (erasure_id, written[-1], sorted(lines)),
            )
            warehouse.execute(
                "update ops.erasure set replaced = replaced || %s::text where erasure_id = %s",
                (archive.place(entry).relative_to(archive.directory).as_posix(), erasure_id),
            )
    _discard(warehouse, archive)
    warehouse.execute("update ops.erasure set archived_at = clock_timestamp() where erasure_id = %s", (erasure_id,))
    return written


def _clear_exports(directory: Path, names: list[str]) -> int:
    """Remove the exports with such a file (publish/drop.py), the manifest first; returns how many."""
    number = re.compile(as_word(names).encode())
    exports = set()
    for file in directory.glob("*/*.csv"):
        with file.open("rb") as lines:
            if any(map(number.search, lines)):
                exports.add(file.with_name(file.name.rpartition("-")[0]))
    for export in exports:
        for ending in (".json", "-delta.csv", "-snapshot.csv"):
            export.with_name(export.name + ending).unlink(missing_ok=True)
    return len(exports)


def _numbers(warehouse: psycopg.Connection, query: LiteralString, files: list[tuple[int, bool]]) -> frozenset[int]:
    rows: list[Any] = warehouse.execute(query, ([file_id for file_id, _ in files],)).fetchall()
    return frozenset(number for (number,) in rows)


def _discard(warehouse: psycopg.Connection, archive: Archive) -> None:
    """Remove what other files of the archive have taken the place of."""
    for erasure_id, replaced in warehouse.execute(
        "select erasure_id, replaced from ops.erasure where replaced <> '{}'"
    ).fetchall():
        for place in replaced:
            (archive.directory / place).unlink(missing_ok=True)
        warehouse.execute("update ops.erasure set replaced = '{}' where erasure_id = %s", (erasure_id,))
