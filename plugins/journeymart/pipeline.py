"""The pipeline: land → build → validate → publish → deliver. `journeymart run` and the DAG call these functions.

Each step can be killed and repeated: landing commits file by file, build and validate write only what the next run
overwrites, publish is one transaction.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg.types.json import Jsonb

from journeymart.db import connect
from journeymart.definitions.applied import Definitions, load_definitions
from journeymart.definitions.check import require
from journeymart.definitions.exchange_rates import KIND as EXCHANGE_RATES
from journeymart.definitions.transactions import load_transactions
from journeymart.errors import JourneymartError
from journeymart.landing import FileResult, land
from journeymart.publish import Publication, publish
from journeymart.publish.drop import drop
from journeymart.quality import ValidationResult
from journeymart.quality import validate as run_checks
from journeymart.settings import Settings
from journeymart.transform.dbt import Dbt, NodeResult

if TYPE_CHECKING:
    from journeymart.landing.pull import PullResult

# A change of these kinds of definitions computes what they define, over the whole history, and nothing else.
BACK_FILLED = frozenset({
    "audiences", "cohorts", "contacts", "funnels", "kpis", "messages", "rules", "segments", EXCHANGE_RATES
})  # fmt: skip
FAILED = frozenset({"error", "fail", "runtime error"})


class PipelineError(JourneymartError):
    """A step failed; nothing that a reader sees has moved."""


@dataclass(frozen=True)
class Build:
    """What a build did: `scope` is `changes`, `all`, or `empty` when there was nothing to do."""

    run_id: str
    scope: str
    files: int
    models: int


@dataclass(frozen=True)
class Run:
    """What a whole run did; `publication` is none when there was nothing to publish."""

    run_id: str
    pulls: list[PullResult]
    files: list[FileResult]
    build: Build
    checks: ValidationResult | None
    publication: Publication | None


@dataclass(frozen=True)
class Day:
    """A date of the mart once it was rebuilt, and whether one of its numbers was another before."""

    session_date: date
    sessions: int
    events: int
    transactions: int
    amount_krw: Decimal
    is_changed: bool


@dataclass(frozen=True)
class Reprocessed:
    """What rebuilding dates came to."""

    publication: Publication
    dates: list[Day]


@dataclass(frozen=True)
class Change:
    """A definition that came (`new`), changed (`changed`) or went (`retired`), with the version that counts."""

    what: str
    kind: str
    definition_id: str
    version: int


@dataclass(frozen=True)
class Applied:
    """What applying definitions did; `changes` against what was published before."""

    changes: list[Change]
    build: Build
    publication: Publication | None


def run(
    settings: Settings, landing: Path, *, definitions: Path | None = None, full: bool = False, run_id: str | None = None
) -> Run:
    """The whole pipeline once: what is new in other databases, every file of `landing` not yet loaded, and whatever is
    not yet published.

    A rejected file and a database out of reach do not stop the others. Raises JourneymartError if a step fails.
    """
    from journeymart.landing.pull import pull  # noqa: PLC0415 - brings SQLAlchemy, which most steps can do without

    run_id = run_id or new_run_id()
    pulls = pull(landing, definitions=definitions, settings=settings)
    files = land(landing, run_id, definitions=definitions, settings=settings)
    built = build(settings, run_id, definitions=definitions, full=full)
    if built.scope == "empty":
        return Run(run_id, pulls, files, built, None, None)
    checks = validate(settings, run_id)
    publication = publish(settings, run_id)
    deliver(settings)
    return Run(run_id, pulls, files, built, checks, publication)


def reprocess(settings: Settings, first: date, last: date, *, definitions: Path | None = None) -> Reprocessed:
    """Rebuild the dates `first` to `last` (both included) from raw, and publish them; no file is landed.

    Everything is computed anew with them: funnels, cohorts and counters of other dates are made of their sessions too.
    Raises JourneymartError if a step fails; then readers keep what they had.
    """
    run_id = new_run_id()
    before = _days(settings, first, last)
    build(settings, run_id, definitions=definitions, full=True)
    validate(settings, run_id)
    publication = publish(settings, run_id)
    deliver(settings)
    after = _days(settings, first, last)
    nothing = (0, 0, 0, Decimal(0))
    dates = [
        Day(day, *after.get(day, nothing), is_changed=before.get(day) != after.get(day))
        for day in sorted(before.keys() | after.keys())
    ]
    return Reprocessed(publication, dates)


def _days(settings: Settings, first: date, last: date) -> dict[date, tuple[int, int, int, Decimal]]:
    """Sessions, events, transactions and won of them, by published date; nothing before the first publication."""
    with connect("jm_builder", settings=settings) as connection:
        known = connection.execute("select to_regclass('mart.session_daily') is not null").fetchone()
        if known != (True,):
            return {}
        rows = connection.execute(
            """
            select session_date, sum(sessions)::bigint, sum(events)::bigint, sum(transactions)::bigint, sum(amount_krw)
            from mart.session_daily
            where session_date between %s and %s
            group by session_date
            """,
            (first, last),
        ).fetchall()
    return {day: (sessions, events, transactions, amount) for day, sessions, events, transactions, amount in rows}


def apply(settings: Settings, directory: Path | None = None) -> Applied:
    """Publish what changed definitions say, computed over the whole history; no file is landed.

    Raises JourneymartError for definitions that are wrong, and if a step fails.
    """
    require(directory)
    run_id = new_run_id()
    with connect("jm_builder", settings=settings) as connection:
        before = _published_definitions(connection)
    built = build(settings, run_id, definitions=directory)
    if built.scope == "empty":
        return Applied([], built, None)
    validate(settings, run_id)
    publication = publish(settings, run_id)
    deliver(settings)
    with connect("jm_builder", settings=settings) as connection:
        after = _published_definitions(connection)
    changes = [
        Change("changed" if key in before else "new", *key, version)
        for key, version in sorted(after.items())
        if before.get(key) != version
    ]
    changes += [Change("retired", *key, before[key]) for key in sorted(before.keys() - after.keys())]
    return Applied(changes, built, publication)


def _published_definitions(connection: psycopg.Connection) -> dict[tuple[str, str], int]:
    """Version by kind and id of what mart follows; nothing before the first publication."""
    known = connection.execute("select to_regclass('mart.definition') is not null").fetchone()
    if known is None or not known[0]:
        return {}
    rows = connection.execute("select kind, definition_id, version from mart.definition").fetchall()
    return {(kind, definition_id): version for kind, definition_id, version in rows}


def new_run_id() -> str:
    """A name for a run started by hand: its start in UTC, and a few digits against two in one second."""
    return f"manual-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def is_pending(settings: Settings) -> bool:
    """Whether loaded or corrected files, replayed or erased lines wait for a publication, of this run or an earlier."""
    with connect("jm_builder", settings=settings) as connection:
        row = connection.execute(
            "select exists (select from raw.file where publication_id is null and status = 'loaded')"
            " or exists (select from raw.replay where publication_id is null)"
            " or exists (select from raw.file where status = 'superseded' and removed_id is null)"
            " or exists (select from raw.erased_line where publication_id is null)"
        ).fetchone()
    return row is not None and bool(row[0])


def deliver(settings: Settings) -> bool:
    """Write the audiences that are wanted as files, and tell Superset that its cached numbers are old; false when no
    Superset runs here."""
    from journeymart.superset.cache import refresh  # noqa: PLC0415 - brings Superset's client

    drop(settings)
    return refresh(settings)


def build(settings: Settings, run_id: str, *, definitions: Path | None = None, full: bool = False) -> Build:
    """Compute what the files landed since the last publication change, into schemas build and next.

    Everything is computed anew (scope `all`) on the first run, when the session policy, a model or the shape of a mart
    table has changed, or when asked to; a changed funnel, cohort, segment or rule is computed by itself. Raises
    PipelineError if a model or a test fails, or if another run is being built.
    """
    dbt = Dbt(settings)
    dbt.parse()
    with connect("jm_builder", settings=settings, autocommit=True) as connection, _alone(connection):
        applied = load_definitions(definitions)
        digest = _apply_definitions(connection, applied, dbt.project_hash())
        _apply_transaction_codes(connection, definitions)
        is_full = full or not _is_current(connection, dbt, digest) or _watermark_falls(connection)
        scope = "all" if is_full else "changes"
        with _landing_held(settings, when=is_full):
            files, changes = _begin(connection, run_id, scope, digest)
            is_idle = scope == "changes" and changes == 0
            if is_idle and not _definitions_wait(connection) and not _devices_wait(connection):
                connection.execute(
                    "update ops.run set status = 'empty', ended_at = clock_timestamp() where run_id = %s", (run_id,)
                )
                return Build(run_id, "empty", 0, 0)
            gone = connection.execute(
                "select exists (select from build.run_gone) or exists (select from build.run_erased)"
            ).fetchone()
            results = dbt.build(
                {
                    "is_full": is_full,
                    "has_gone": gone == (True,),
                    "sessions": applied.content["sessions", "sessions"],
                }
            )
        _record(connection, run_id, results)
        return Build(run_id, scope, files, len(results))


def _begin(connection: psycopg.Connection, run_id: str, scope: str, digest: str) -> tuple[int, int]:
    """Decide what this run sees; returns the number of new files, and of all changes: new and corrected files, and
    single lines, new or erased."""
    with connection.transaction():
        connection.execute(
            "update ops.run set status = 'failed', error = 'ended without a result', ended_at = clock_timestamp()"
            " where status in ('running', 'built', 'validated') and run_id <> %s",
            (run_id,),
        )
        connection.execute(
            """
            drop table if exists
                build.run_scope, build.run_file, build.run_line, build.run_gone, build.run_erased, build.model
                cascade;  -- views of next from a run that took something away refer to them
            create unlogged table build.run_scope (
                run_id text not null, is_full boolean not null, definitions text not null, watermark_at timestamptz
            );
            create unlogged table build.run_file (file_id integer primary key);
            create unlogged table build.run_gone (file_id integer primary key);
            create unlogged table build.run_erased (erased_row bigint primary key);
            create unlogged table build.run_line (row_id bigint primary key, is_single boolean not null);
            create unlogged table build.model (
                position integer generated always as identity, name text primary key, kind text not null,
                published_in text not null, contract_version integer, columns text[] not null, replaces text,
                keep text, sql text, comment text not null,
                column_comments jsonb not null
            )
            """
        )
        # First what goes: a file that is corrected meanwhile then goes with the next run.
        gone = connection.execute(
            "insert into build.run_gone select file_id from raw.file where status = 'superseded' and removed_id is null"
        ).rowcount
        erased = connection.execute(
            "insert into build.run_erased select row_id from raw.erased_line where publication_id is null"
            " and (row_id >> 32)::integer not in (select file_id from build.run_gone)"
        ).rowcount
        files = connection.execute(
            "insert into build.run_file select file_id from raw.file"
            " where status = 'loaded' and (%s or publication_id is null)",
            (scope == "all",),
        ).rowcount
        # A replayed line of a file that is new as a whole is new with it; of a published file, by itself.
        lines = connection.execute(
            """
            insert into build.run_line
            select
                p.row_id,
                (p.row_id >> 32)::integer not in (select file_id from build.run_file union all table build.run_gone)
            from raw.replay as p
            where p.publication_id is null
            """
        ).rowcount
        if (gone or erased) and scope == "changes":
            # What repeated a line that goes is to be decided anew.
            lines += connection.execute(
                """
                insert into build.run_line
                select d.row_id, true
                from mart.line_duplicate as d
                where
                    (
                        (d.of_row_id >> 32)::integer in (select g.file_id from build.run_gone as g)
                        or d.of_row_id in (select e.erased_row from build.run_erased as e)
                    )
                    and (d.row_id >> 32)::integer not in (select g.file_id from build.run_gone as g)
                    and d.row_id not in (select e.erased_row from build.run_erased as e)
                on conflict do nothing
                """
            ).rowcount
        if scope == "changes":
            lines += _add_revalued(connection)
        connection.execute(
            """
            insert into build.run_scope
            select %(run_id)s, %(is_full)s, %(digest)s, greatest(
                (
                    -- of what is published now: a correction may have made it earlier than it was before
                    select watermark_at from ops.publication where not %(is_full)s order by publication_id desc limit 1
                ),
                (
                    select max(f.last_event_at) from raw.file as f
                    where
                        (
                            f.file_id in (table build.run_file)
                            or f.file_id in (select (l.row_id >> 32)::integer from build.run_line as l where is_single)
                        )
                        and f.source <> 'consents'  -- says from when it holds, which may lie ahead
                )
            )
            """,
            {"run_id": run_id, "is_full": scope == "all", "digest": digest},
        )
        connection.execute("analyze build.run_file, build.run_line, build.run_gone, build.run_erased")
        connection.execute(
            """
            insert into ops.run (run_id, scope, files, status) values (%s, %s, %s, 'running')
            on conflict (run_id) do update set
                scope = excluded.scope, files = excluded.files, status = 'running', error = null,
                started_at = clock_timestamp(), ended_at = null
            """,
            (run_id, scope, files),
        )
    return files, files + lines + gone + erased


def _add_revalued(connection: psycopg.Connection) -> int:
    """Add the published transactions whose amount in won changes with the exchange rates to the lines of this run."""
    changed = connection.execute(
        """
        (
            select definition_id from config.definition where kind = %(kind)s and retired_at is null
            union
            select definition_id from mart.definition where kind = %(kind)s
        )
        except
        select d.definition_id
        from config.definition as d
        inner join mart.definition as m using (kind, definition_id, version)
        where d.kind = %(kind)s and d.retired_at is null
        """,
        {"kind": EXCHANGE_RATES},
    ).fetchall()
    if not changed:  # as in nearly every run, which then need not look at the transactions
        return 0
    return connection.execute(
        """
        insert into build.run_line
        select t.row_id, true
        from mart.transaction_fact as t
        left join lateral (
            select r.krw_per_unit
            from config.exchange_rate as r
            where
                r.currency = coalesce(t.currency, 'KRW')
                and r.valid_from <= (
                    t.transacted_at at time zone (
                        select s.content ->> 'time_zone' from config.definition as s
                        where s.kind = 'sessions' and s.retired_at is null
                    )
                )::date
            order by r.valid_from desc
            limit 1
        ) as x on true
        where
            coalesce(t.currency, 'KRW') = any(%s)
            and round(t.amount * x.krw_per_unit, 2) is distinct from t.amount_krw
            and (t.row_id >> 32)::integer not in (select g.file_id from build.run_gone as g)
        on conflict do nothing
        """,
        ([currency for (currency,) in changed],),
    ).rowcount


def _record(connection: psycopg.Connection, run_id: str, results: list[NodeResult]) -> None:
    failed = [result for result in results if result.status in FAILED]
    with connection.transaction():
        connection.execute("delete from ops.model_result where run_id = %s", (run_id,))
        with connection.cursor() as cursor:
            cursor.executemany(
                "insert into ops.model_result (run_id, node, status, seconds, rows, message)"
                " values (%s, %s, %s, %s, %s, %s)",
                [(run_id, r.node, r.status, r.seconds, r.rows, r.message) for r in results],
            )
        error = "; ".join(f"{result.node}: {' '.join(result.message.split())}" for result in failed)
        connection.execute(
            "update ops.run set status = %s, error = %s where run_id = %s",
            ("failed" if failed else "built", error or None, run_id),
        )
    if failed:
        raise PipelineError(f"{len(failed)} of {len(results)} models and tests failed: {error}")


def _apply_definitions(connection: psycopg.Connection, definitions: Definitions, project_hash: str) -> str:
    """Version what changed in config.definition; returns a hash of what decides all of the mart's numbers."""
    current = definitions.content
    with connection.transaction():
        stored = {
            (kind, definition_id): (version, content if retired_at is None else None)
            for kind, definition_id, version, content, retired_at in connection.execute(
                "select distinct on (kind, definition_id) kind, definition_id, version, content, retired_at"
                " from config.definition order by kind, definition_id, version desc"
            )
        }
        gone = [key for key, (_, content) in stored.items() if content is not None and current.get(key) != content]
        new = [(*key, stored.get(key, (0,))[0] + 1, Jsonb(content)) for key, content in current.items()
               if stored.get(key, (0, None))[1] != content]  # fmt: skip
        with connection.cursor() as cursor:
            cursor.executemany(
                "update config.definition set retired_at = now()"
                " where kind = %s and definition_id = %s and retired_at is null",
                gone,
            )
            cursor.executemany(
                "insert into config.definition (kind, definition_id, version, content) values (%s, %s, %s, %s)", new
            )
            if EXCHANGE_RATES in {kind for kind, *_ in [*gone, *new]}:
                cursor.execute("delete from config.exchange_rate")
                cursor.execute(
                    """
                    insert into config.exchange_rate (currency, valid_from, krw_per_unit)
                    select d.definition_id, r.key::date, r.value::numeric
                    from config.definition as d
                    cross join lateral jsonb_each_text(d.content -> 'krw_per_unit') as r
                    where d.kind = %s and d.retired_at is null
                    """,
                    (EXCHANGE_RATES,),
                )
            cursor.execute("delete from config.condition")
            cursor.executemany(
                "insert into config.condition (condition_id, source, predicate, hold_value, breakdown_value,"
                " is_of_node, uses_customer, uses_session) values (%s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (
                        key,
                        source,
                        compiled.predicate,
                        compiled.hold,
                        compiled.breakdown,
                        compiled.is_of_node,
                        *condition.uses,
                    )
                    for key, condition in definitions.conditions.items()
                    for source, compiled in condition.compiled().items()
                ],
            )
    general = [item for item in sorted(current.items()) if item[0][0] not in BACK_FILLED]
    return hashlib.sha256(json.dumps([project_hash, *general], sort_keys=True).encode()).hexdigest()


def _definitions_wait(connection: psycopg.Connection) -> bool:
    """Whether a definition that back-fills itself has changed since the publication that mart shows."""
    row = connection.execute(
        """
        with applied as (select kind, definition_id, version from config.definition where retired_at is null),
        published as (select kind, definition_id, version from mart.definition)
        select exists (
            (table applied except table published) union all (table published except table applied)
        )
        """
    ).fetchone()
    return row is not None and bool(row[0])


def _devices_wait(connection: psycopg.Connection) -> bool:
    """Whether a device was unlinked, or linked again, since the publication that mart shows."""
    row = connection.execute(
        """
        with decided as (select visitor_key from config.unlinked_device),
        published as (select visitor_key from mart.unlinked_device)
        select exists ((table decided except table published) union all (table published except table decided))
        """
    ).fetchone()
    return row is not None and bool(row[0])


def _apply_transaction_codes(connection: psycopg.Connection, directory: Path | None) -> None:
    """Bring config.transaction_code up to date. Names decide no number, so they need no new computation."""
    codes = load_transactions(directory).transactions
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("delete from config.transaction_code where transaction_code <> all (%s)", (list(codes),))
        cursor.executemany(
            """
            insert into config.transaction_code as known (transaction_code, content) values (%s, %s)
            on conflict (transaction_code) do update set content = excluded.content, applied_at = now()
            where known.content <> excluded.content
            """,
            [(code, Jsonb(transaction.model_dump(exclude_none=True))) for code, transaction in codes.items()],
        )


def _is_current(connection: psycopg.Connection, dbt: Dbt, digest: str) -> bool:
    """Whether mart can be changed in place: it follows these definitions and has the tables of these models."""
    published = connection.execute(
        "select definitions from ops.publication order by publication_id desc limit 1"
    ).fetchone()
    if published is None or published[0] != digest:
        return False
    found: dict[str, dict[str, str]] = {}
    for table, column, data_type in connection.execute(
        """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid
        where c.relnamespace = 'mart'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
        """
    ):
        found.setdefault(table, {})[column] = data_type
    return all(
        found.get(table.name) == {name: type_.replace(", ", ",") for name, type_ in table.columns.items()}
        for table in dbt.mart_tables()
    )


def _watermark_falls(connection: psycopg.Connection) -> bool:
    """Whether the latest time of all was in a file that has been corrected: what is open or over depends on it
    everywhere."""
    row = connection.execute(
        """
        select
            exists (select from raw.file where status = 'superseded' and removed_id is null)
            and (select watermark_at from ops.publication order by publication_id desc limit 1)
            > coalesce((
                select max(last_event_at) from raw.file where status = 'loaded' and source <> 'consents'
            ), '-infinity')
        """
    ).fetchone()
    return row is not None and bool(row[0])


@contextmanager
def _alone(connection: psycopg.Connection) -> Iterator[None]:
    """Hold the build for this process; the lock dies with it."""
    row = connection.execute("select pg_try_advisory_lock(hashtext('journeymart.build'))").fetchone()
    if row is None or not row[0]:
        raise PipelineError("another run is being built; wait for it to end")
    try:
        yield
    finally:
        connection.execute("select pg_advisory_unlock(hashtext('journeymart.build'))")


@contextmanager
def _landing_held(settings: Settings, *, when: bool) -> Iterator[None]:
    """While everything is computed anew, no file may commit: models read raw without asking which file a row is of."""
    if not when:
        yield
        return
    with connect("jm_loader", settings=settings) as connection:
        connection.execute("lock table raw.file in share mode")
        yield


def validate(settings: Settings, run_id: str) -> ValidationResult:
    """Check raw and next; raises PipelineError if a critical check fails, so that publish cannot follow."""
    result = run_checks(settings, run_id)
    failed = ", ".join(check.check_id for check in result.critical)
    with connect("jm_builder", settings=settings) as connection:
        connection.execute(
            "update ops.run set status = %s, error = %s where run_id = %s and status <> 'published'",
            ("failed", f"checks failed: {failed}", run_id) if failed else ("validated", None, run_id),
        )
    if failed:
        raise PipelineError(f"critical checks failed: {failed}; nothing was published. See {settings.docs_url}")
    return result
