"""Build: decide what a run sees, compute it with dbt into schemas build and next, and record what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from journeymart.db import alone, connect, exists, holds
from journeymart.definitions.applied import load_definitions
from journeymart.definitions.exchange_rates import KIND as EXCHANGE_RATES
from journeymart.definitions.versions import apply_definitions, apply_transaction_codes, definitions_wait, digest_of
from journeymart.errors import PipelineError
from journeymart.publish.publisher import is_outdated
from journeymart.settings import Settings
from journeymart.transform.dbt import Dbt, NodeResult

FAILED = frozenset({"error", "fail", "runtime error"})
# What a run sees of raw, and the models that it makes.
RUN_TABLES = """
drop table if exists
    build.run_scope, build.run_file, build.run_line, build.run_gone, build.run_erased, build.model
    cascade;  -- views of next from a run that took something away refer to them
create unlogged table build.run_scope (
    run_id text not null, is_full boolean not null, definitions text not null, watermark_at timestamptz
);
create unlogged table build.run_file (file_id integer primary key);
create unlogged table build.run_gone (file_id integer primary key);
create unlogged table build.run_erased (erased_row bigint primary key);
create unlogged table build.run_line (
    row_id bigint primary key, is_single boolean not null, cause text not null
);
create unlogged table build.model (
    position integer generated always as identity, name text primary key, kind text not null,
    published_in text not null, contract_version integer, columns text[] not null, replaces text,
    keep text, sql text, comment text not null,
    column_comments jsonb not null
)
"""


@dataclass(frozen=True)
class Build:
    """What a build did: `scope` is `changes`, `all`, or `empty` when there was nothing to do."""

    run_id: str
    scope: str
    files: int
    models: int


def build(settings: Settings, run_id: str, *, definitions: Path | None = None, full: bool = False) -> Build:
    """Compute what the files landed since the last publication change, into schemas build and next.

    Everything is computed anew (scope `all`) on the first run, when the session policy, a model or the shape of a mart
    table has changed, or when asked to; a changed funnel, cohort, segment or rule is computed by itself. Raises
    PipelineError if a model or a test fails, or while another run is being built or published.
    """
    dbt = Dbt(settings)
    busy = PipelineError("another run is being built or published; wait for it to end")
    with connect("jm_builder", settings=settings, autocommit=True) as connection, alone(connection, "build", busy):
        applied = load_definitions(definitions)
        # before anything of theirs changes: what publish takes away depends on the applied definitions
        _end_others(connection, run_id)
        digest = apply_definitions(connection, applied, dbt.project_hash())
        apply_transaction_codes(connection, definitions)
        is_full = full or not _is_current(connection, dbt, digest) or _watermark_falls(connection)
        scope = "all" if is_full else "changes"
        with _landing_held(settings, when=is_full):
            files, changes = _begin(connection, run_id, scope, digest)
            is_idle = scope == "changes" and changes == 0
            if is_idle and not (
                definitions_wait(connection) or _devices_wait(connection) or is_outdated(connection, settings)
            ):
                connection.execute(
                    "update ops.run set status = 'empty', ended_at = clock_timestamp() where run_id = %s", (run_id,)
                )
                return Build(run_id, "empty", 0, 0)
            # a run of changes reads the seeds again, and leaves out views that have nothing to do with build
            _clear(connection, ["staging", "build", "next"] if is_full else ["build"])
            has_gone = holds(
                connection, "select exists (select from build.run_gone) or exists (select from build.run_erased)"
            )
            results = dbt.build({
                "is_full": is_full, "has_gone": has_gone, "sessions": applied.content["sessions", "sessions"]
            })  # fmt: skip
        _record(connection, run_id, results)
        return Build(run_id, scope, files, len(results))


def is_pending(settings: Settings, definitions: Path | None = None) -> bool:
    """Whether a publication is needed though no file has come: for what earlier runs have landed, replayed, corrected,
    expired or erased, or because definitions, devices or this version are not what is published."""
    with connect("jm_builder", settings=settings) as connection:
        return holds(
            connection,
            "select exists (select from raw.file where publication_id is null and status = 'loaded')"
            " or exists (select from raw.replay where publication_id is null)"
            " or exists (select from raw.file where status in ('superseded', 'expired') and removed_id is null)"
            " or exists (select from raw.erased_line where publication_id is null)",
        ) or _is_another(connection, settings, definitions)


def _is_another(connection: psycopg.Connection, settings: Settings, definitions: Path | None) -> bool:
    """Whether what is published follows other definitions, decisions about devices, models or functions than those of
    now; not while a run that was begun with them may still publish."""
    if not exists(connection, "mart.definition") or holds(
        connection,
        "select exists (select from ops.run where status in ('running', 'built', 'validated')"
        " and started_at > now() - interval '3 hours')",  # what the tasks of a run have for it
    ):
        return False
    dbt, wanted = Dbt(settings), load_definitions(definitions)
    published = {
        (kind, definition_id): content
        for kind, definition_id, content in connection.execute(
            "select kind, definition_id, d.content from mart.definition"
            " inner join config.definition as d using (kind, definition_id, version)"
        )
    }
    return (
        published != wanted.content
        or not _is_current(connection, dbt, digest_of(wanted, dbt.project_hash()))
        or _devices_wait(connection)
        or is_outdated(connection, settings)
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
    """Whether the latest time of all was in a file that has been corrected or has expired: what is open or over depends
    on it everywhere."""
    return holds(
        connection,
        """
        select
            exists (select from raw.file where status in ('superseded', 'expired') and removed_id is null)
            and (select watermark_at from ops.publication order by publication_id desc limit 1)
            > coalesce((
                select max(last_event_at) from raw.file where status = 'loaded' and source <> 'consents'
            ), '-infinity')
        """,
    )


def _devices_wait(connection: psycopg.Connection) -> bool:
    """Whether a device was unlinked, or linked again, since the publication that mart shows."""
    return holds(
        connection,
        """
        with decided as (select visitor_key from config.unlinked_device),
        published as (select visitor_key from mart.unlinked_device)
        select exists ((table decided except table published) union all (table published except table decided))
        """,
    )


@contextmanager
def _landing_held(settings: Settings, *, when: bool) -> Iterator[None]:
    """While everything is computed anew, no file may commit: models read raw without asking which file a row is of."""
    if not when:
        yield
        return
    with connect("jm_loader", settings=settings) as connection:
        connection.execute("lock table raw.file in share mode")
        yield


def _end_others(connection: psycopg.Connection, run_id: str) -> None:
    """No earlier run can be published any more."""
    connection.execute(
        "update ops.run set status = 'failed', error = 'ended without a result', ended_at = clock_timestamp()"
        " where status in ('running', 'built', 'validated') and run_id <> %s",
        (run_id,),
    )


def _begin(connection: psycopg.Connection, run_id: str, scope: str, digest: str) -> tuple[int, int]:
    """Decide what this run sees; returns the number of new files, and of all changes: new and corrected files, and
    single lines, new or erased."""
    with connection.transaction():
        connection.execute(RUN_TABLES)
        # First what goes: a file that is corrected meanwhile then goes with the next run.
        gone = connection.execute(
            "insert into build.run_gone"
            " select file_id from raw.file where status in ('superseded', 'expired') and removed_id is null"
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
        lines = _add_replayed(connection)
        if scope == "changes":
            if gone or erased:
                lines += _add_repeats(connection)
            lines += _add_revalued(connection) + _add_judged(connection)
        _add_scope(connection, run_id, digest, is_full=scope == "all")
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


def _clear(connection: psycopg.Connection, schemas: list[str]) -> None:
    """Drop what models of earlier runs have left: dbt makes them anew, and forgets those that are no more.

    In one transaction, because PostgreSQL searches all of its shared buffers in each that drops a table: model by model
    that took an eighth of a small run.
    """
    statements = connection.execute(
        """
        select format('drop %%s if exists %%I.%%I cascade', k.name, c.relnamespace::regnamespace, c.relname)
        from pg_class as c
        inner join (values ('v', 'view'), ('r', 'table')) as k (kind, name) on c.relkind::text = k.kind
        where
            c.relnamespace = any(%s::regnamespace[])
            and c.relname <> 'model' and c.relname not like 'run\\_%%'  -- what _begin says of this run
        """,
        (schemas,),
    ).fetchall()
    with connection.transaction():
        for (statement,) in statements:
            connection.execute(statement)


def _add_replayed(connection: psycopg.Connection) -> int:
    """Add the replayed lines to those of this run: of a file that is new as a whole with it, of a published one each by
    itself."""
    return connection.execute(
        """
        insert into build.run_line
        select
            p.row_id,
            (p.row_id >> 32)::integer not in (select file_id from build.run_file union all table build.run_gone),
            'replay'
        from raw.replay as p
        where p.publication_id is null
        """
    ).rowcount


def _add_repeats(connection: psycopg.Connection) -> int:
    """Add the published duplicates of lines that go to the lines of this run: which of them counts is decided anew."""
    return connection.execute(
        """
        insert into build.run_line
        select
            d.row_id,
            true,
            case f.status when 'expired' then 'expiry' when 'superseded' then 'correction' else 'erasure' end
        from mart.line_duplicate as d
        left join build.run_gone as n on (d.of_row_id >> 32)::integer = n.file_id
        left join raw.file as f on n.file_id = f.file_id
        where
            (n.file_id is not null or d.of_row_id in (select e.erased_row from build.run_erased as e))
            and (d.row_id >> 32)::integer not in (select g.file_id from build.run_gone as g)
            and d.row_id not in (select e.erased_row from build.run_erased as e)
        on conflict do nothing
        """
    ).rowcount


def _add_scope(connection: psycopg.Connection, run_id: str, digest: str, *, is_full: bool) -> None:
    """Say what this run is of: all or changes, by which definitions, and until when it knows what happened."""
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
        {"run_id": run_id, "is_full": is_full, "digest": digest},
    )


def _add_revalued(connection: psycopg.Connection) -> int:
    """Add the published transactions whose amount in won changes with the exchange rates to the lines of this run."""
    currencies = _changed(connection, EXCHANGE_RATES)
    if not currencies:  # as in nearly every run, which then need not look at the transactions
        return 0
    return connection.execute(
        """
        insert into build.run_line
        select t.row_id, true, 'definition'
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
        (currencies,),
    ).rowcount


def _add_judged(connection: psycopg.Connection) -> int:
    """Add the published transactions that fail now, or do not any more, by `done_results` to the lines of this run."""
    if not _changed(connection, "transactions"):
        return 0
    return connection.execute(
        """
        insert into build.run_line
        select t.row_id, true, 'definition'
        from mart.transaction_fact as t
        left join config.definition as d
            on d.kind = 'transactions' and d.definition_id = 'done_results' and d.retired_at is null
        where
            t.is_failed <> coalesce(not jsonb_exists(d.content -> 'codes', t.result_code), false)
            and (t.row_id >> 32)::integer not in (select g.file_id from build.run_gone as g)
        on conflict do nothing
        """
    ).rowcount


def _changed(connection: psycopg.Connection, kind: str) -> list[str]:
    """The definitions of a kind that are new, changed or retired since the publication that mart shows."""
    rows = connection.execute(
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
        {"kind": kind},
    ).fetchall()
    return [definition_id for (definition_id,) in rows]


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
        is_lacking = "does not exist" in error
        remedy = "Do `journeymart up`, if this version has not been up, or mend" if is_lacking else "Mend"
        raise PipelineError(
            f"{len(failed)} of {len(results)} models and tests failed; what is published stays as it was."
            f" {remedy} what is said here and run again: {error}"
        )
