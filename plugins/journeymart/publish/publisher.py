"""Publish a validated run: replace the touched rows of every mart table, or whole tables after a full build.

Everything happens in one transaction as jm_publisher, so a reader sees the state before or the state after, and a
process killed at any moment leaves the state before.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from journeymart.db import connect, exists
from journeymart.errors import JourneymartError
from journeymart.publish import restatement
from journeymart.publish.access import access_digest, grant_access
from journeymart.settings import Settings

# Shorter than PostgreSQL's deadlock_timeout, 1 s, from which on it ends who waits.
LOCK_WAIT = "300ms"
LOCK_TRIES = 150


class PublishError(JourneymartError):
    """The run cannot be published."""


@dataclass(frozen=True)
class Publication:
    """What became visible; `removed` and `added` are rows per mart table."""

    publication_id: int
    run_id: str
    files: int
    removed: dict[str, int]
    added: dict[str, int]


def publish(settings: Settings, run_id: str) -> Publication:
    """Make the run's rows visible.

    Raises PublishError unless `run_id` is the run that schema build holds and its checks allowed publication.
    A run that is already published is answered with its publication, so a repeated task does no harm.
    """
    with connect("jm_publisher", settings=settings, work_mem="256MB") as connection:
        # one publication at a time; a second one waits and then finds its run published
        connection.execute("select pg_advisory_xact_lock(hashtext('journeymart.publish'))")
        done = _published(connection, run_id)
        if done is not None:
            return done
        # and no other build meanwhile: the definitions that it applies decide what this one would take away
        connection.execute("select pg_advisory_xact_lock(hashtext('journeymart.build'))")
        scope = _scope_of(connection, run_id)
        models = _models(connection)
        restatement.remember(connection)
        if scope == "all":
            changes = _renew(connection, models, settings)
        else:
            changes = {model.name: _replace_rows(connection, model) for model in models if model.kind == "delta"}
            _publish_views(connection, models, settings, renew=False)
        removed, added = ({name: rows[number] for name, rows in changes.items()} for number in (0, 1))
        publication_id = _record(connection, run_id, removed, added)
        restatement.record(connection, publication_id)
        _publish_access(connection)
        files = _mark_files(connection, publication_id)
        connection.execute(
            "update ops.run set status = 'published', ended_at = clock_timestamp() where run_id = %s", (run_id,)
        )
    return Publication(publication_id, run_id, files, removed, added)


def is_outdated(connection: psycopg.Connection, settings: Settings) -> bool:
    """Whether the functions of mart, or who may read what of it, are those of another version of the code."""
    known: dict[str, str] = dict(connection.execute("select name, sql_hash from ops.mart_view").fetchall())
    wanted = {"mart_functions": _functions(settings)[1], "access": access_digest(connection)}
    return any(known.get(name) != digest for name, digest in wanted.items())


def _published(connection: psycopg.Connection, run_id: str) -> Publication | None:
    row = connection.execute(
        "select publication_id, rows_removed, rows_added,"
        " (select count(*) from raw.file as f where f.publication_id = p.publication_id)"
        " from ops.publication as p inner join ops.run as r using (run_id)"
        " where run_id = %s and r.status = 'published' order by publication_id desc limit 1",
        (run_id,),
    ).fetchone()
    return None if row is None else Publication(row[0], run_id, row[3], row[1], row[2])


def _scope_of(connection: psycopg.Connection, run_id: str) -> str:
    row = connection.execute("select scope, status from ops.run where run_id = %s", (run_id,)).fetchone()
    is_built = exists(connection, "build.run_scope")
    built = connection.execute("select run_id from build.run_scope").fetchone() if is_built else None
    if row is None or built is None or built[0] != run_id:
        raise PublishError(f"schema build does not hold run {run_id}; run the pipeline again")
    scope, status = map(str, row)
    if status != "validated":
        raise PublishError(f"run {run_id} is {status}, not validated; nothing was published")
    return scope


def _models(connection: psycopg.Connection) -> list[Any]:
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(
            "select name, kind, published_in, contract_version, columns, replaces, keep, sql, comment, column_comments"
            " from build.model order by position"
        ).fetchall()


def _trusted(text: str) -> sql.SQL:
    """SQL that the dbt project compiled; definitions reach it as bound or quoted literals only."""
    return sql.SQL(text)


def _replace_rows(connection: psycopg.Connection, model: Any) -> tuple[int, int]:
    mart, build = sql.Identifier("mart", model.name), sql.Identifier("build", model.name)
    columns = sql.SQL(", ").join(map(sql.Identifier, model.columns))
    removed = connection.execute(
        sql.SQL("delete from {} as m where {}").format(mart, _trusted(model.replaces))
    ).rowcount
    insert = sql.SQL("insert into {mart} ({columns}) select {columns} from {build} as b where {keep}").format(
        mart=mart, columns=columns, build=build, keep=_trusted(model.keep)
    )
    try:
        return removed, connection.execute(insert).rowcount
    except psycopg.errors.UniqueViolation as error:  # what the model replaces leaves a row that it has computed again
        raise PublishError(f"mart.{model.name}: {error.diag.message_detail} Nothing was published") from error


def _renew(connection: psycopg.Connection, models: list[Any], settings: Settings) -> dict[str, tuple[int, int]]:
    """Whole tables, and what is built on them; rows removed and added by table.

    Who reads holds some of the tables and may ask for one that is held here: PostgreSQL would end one of the two. So
    all are asked for first, and let go for a moment when one cannot be had at once. After a minute of that readers may
    be ended.
    """
    for wait in [LOCK_WAIT] * LOCK_TRIES + ["0"]:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("set local lock_timeout = {}").format(sql.Literal(wait)))
                _hold(connection)
                changes = {model.name: _take_over(connection, model) for model in models if model.kind == "delta"}
                if retired := _ours(connection, "r", besides=[*changes]):  # of an earlier version
                    connection.execute(_trusted(f"drop table {retired} cascade"))
                _publish_views(connection, models, settings, renew=True)
            break
        except psycopg.errors.LockNotAvailable:
            time.sleep(0.1)
    connection.execute("set local lock_timeout = 0")
    return changes


def _hold(connection: psycopg.Connection) -> None:
    """Keep readers from what is renewed. Views go already: to lock one would lock what it reads, in raw too."""
    for kind, statement in (("r", "lock table {} in access exclusive mode"), ("v", "drop view {} cascade")):
        if names := _ours(connection, kind):
            connection.execute(_trusted(statement.format(names)))


def _ours(connection: psycopg.Connection, kind: str, besides: Sequence[str] = ()) -> str:
    """The published tables (r) or views (v), for a statement about all of them."""
    [names] = connection.execute(
        "select string_agg(oid::regclass::text, ', ') from pg_class where relkind = %s and relname <> all (%s::text[])"
        " and relnamespace in ('mart'::regnamespace, 'export'::regnamespace) and relowner = current_user::regrole",
        (kind, list(besides)),
    ).fetchone() or [None]
    return names or ""


def _take_over(connection: psycopg.Connection, model: Any) -> tuple[int, int]:
    """A full build wrote a complete, indexed table: move it instead of copying ten million rows."""
    mart, build = sql.Identifier("mart", model.name), sql.Identifier("build", model.name)
    rows = "select reltuples::bigint from pg_class where oid = to_regclass(%s)"
    removed = connection.execute(rows, (f"mart.{model.name}",)).fetchone()
    connection.execute(sql.SQL("drop table if exists {} cascade").format(mart))
    connection.execute(sql.SQL("alter table {} set schema mart").format(build))
    connection.execute(sql.SQL("alter table {} owner to jm_publisher").format(mart))
    connection.execute(sql.SQL("grant select on {} to jm_builder, jm_dashboard").format(mart))
    _comment(connection, "table", mart, model)
    added = connection.execute(rows, (f"mart.{model.name}",)).fetchone()
    return (max(removed[0], 0) if removed else 0), (added[0] if added else 0)


def _publish_views(connection: psycopg.Connection, models: list[Any], settings: Settings, *, renew: bool) -> None:
    """Views of mart and export, and functions of mart: replaced only when their SQL changed, so that readers never wait
    for a daily run."""
    known: dict[str, str] = dict(connection.execute("select name, sql_hash from ops.mart_view").fetchall())
    renewed = renew
    for model in models:
        if model.kind != "mart_view":
            continue
        text = model.sql.replace(f'"{settings.pg_database}"."next".', f'"{settings.pg_database}"."mart".')
        digest = hashlib.sha256(f"{model.contract_version} {text}".encode()).hexdigest()
        renewed = renewed or known.get(model.name) != digest
        if renewed:  # a changed view takes those built on it along
            view = sql.Identifier(model.published_in, model.name)
            connection.execute(sql.SQL("drop view if exists {} cascade").format(view))
            connection.execute(sql.SQL("create view {} as {}").format(view, _trusted(text)))
            _comment(connection, "view", view, model)
            if model.contract_version:
                versioned = sql.Identifier(model.published_in, f"{model.name}_v{model.contract_version}")
                connection.execute(sql.SQL("create view {} as select * from {}").format(versioned, view))
                _comment(connection, "view", versioned, model)
            _remember(connection, model.name, digest)
    _publish_functions(connection, settings, known, renew=renewed)


def _publish_functions(
    connection: psycopg.Connection, settings: Settings, known: dict[str, str], *, renew: bool
) -> None:
    """The analyses: all of them anew when one has changed, because Postgres keeps the old one beside new arguments."""
    texts, digest = _functions(settings)
    if not renew and known.get("mart_functions") == digest:
        return
    signatures = connection.execute(
        "select oid::regprocedure::text from pg_proc"
        " where pronamespace in ('mart'::regnamespace, 'export'::regnamespace)"
    ).fetchall()
    for (signature,) in signatures:
        connection.execute(_trusted(f"drop function {signature}"))
    connection.execute("set local check_function_bodies = off")  # they call each other, in no order
    for text in texts:
        connection.execute(_trusted(text))
    _remember(connection, "mart_functions", digest)


def _functions(settings: Settings) -> tuple[list[str], str]:
    """Their SQL, and a hash of it."""
    texts = [
        path.read_text(encoding="utf-8")
        for path in sorted((settings.repo / "dbt_project" / "mart_functions").glob("*.sql"))
    ]
    return texts, hashlib.sha256("".join(texts).encode()).hexdigest()


def _publish_access(connection: psycopg.Connection) -> None:
    known = connection.execute("select sql_hash from ops.mart_view where name = 'access'").fetchone()
    digest = access_digest(connection)
    if known is None or known[0] != digest:
        grant_access(connection)
        _remember(connection, "access", digest)


def _remember(connection: psycopg.Connection, name: str, digest: str) -> None:
    connection.execute(
        "insert into ops.mart_view (name, sql_hash) values (%s, %s)"
        " on conflict (name) do update set sql_hash = excluded.sql_hash",
        (name, digest),
    )


def _comment(connection: psycopg.Connection, kind: LiteralString, relation: sql.Identifier, model: Any) -> None:
    connection.execute(sql.SQL("comment on " + kind + " {} is {}").format(relation, sql.Literal(model.comment)))
    for column, text in model.column_comments.items():
        connection.execute(
            sql.SQL("comment on column {}.{} is {}").format(relation, sql.Identifier(column), sql.Literal(text))
        )


def _record(connection: psycopg.Connection, run_id: str, removed: dict[str, int], added: dict[str, int]) -> int:
    row = connection.execute(
        """
        insert into ops.publication
            (run_id, watermark_at, checks_passed, checks_failed, definitions, session_policy_version, identity_version,
             identity_hash, rows_removed, rows_added)
        select
            s.run_id,
            s.watermark_at,
            (select count(*) from ops.check_result as c where c.run_id = s.run_id and c.passed),
            (select count(*) from ops.check_result as c where c.run_id = s.run_id and not c.passed),
            s.definitions,
            i.policy_version,
            coalesce(
                (
                    select p.identity_version + (p.identity_hash <> i.hash)::integer
                    from ops.publication as p
                    where p.identity_version is not null
                    order by p.publication_id desc
                    limit 1
                ),
                1
            ),
            i.hash,
            %s,
            %s
        from build.run_scope as s
        cross join (
            select
                d.version as policy_version,
                md5(concat_ws(
                    '|',
                    d.content ->> 'device_days',
                    (select string_agg(u.visitor_key::text, ',' order by u.visitor_key) from mart.unlinked_device as u)
                )) as hash
            from mart.definition as p
            inner join config.definition as d using (kind, definition_id, version)
            where p.kind = 'sessions'
        ) as i
        where s.run_id = %s
        returning publication_id
        """,
        (Jsonb(removed, dumps=json.dumps), Jsonb(added, dumps=json.dumps), run_id),
    ).fetchone()
    if row is None:
        raise PublishError(f"run {run_id} left schema build while it was being published")
    return int(row[0])


def _mark_files(connection: psycopg.Connection, publication_id: int) -> int:
    connection.execute(
        """
        update raw.file as f
        set rows_mart = b.rows_mart, rows_duplicate = b.rows_duplicate, rows_bot = b.rows_bot
        from mart.file_balance as b
        where
            b.file_id = f.file_id
            and (f.rows_mart, f.rows_duplicate, f.rows_bot) is distinct from (b.rows_mart, b.rows_duplicate, b.rows_bot)
        """
    )
    connection.execute(
        "select raw.remove_superseded(array_agg(file_id), %s) from build.run_gone having count(*) > 0",
        (publication_id,),
    )
    connection.execute(
        "select raw.remove_erased(array_agg(erased_row), %s) from build.run_erased having count(*) > 0",
        (publication_id,),
    )
    connection.execute(
        "update raw.replay as p set publication_id = %s from build.run_line as l where l.row_id = p.row_id",
        (publication_id,),
    )
    # computed anew, what readers have had for long is published again, but did not reach them now
    return connection.execute(
        "update raw.file as f set publication_id = %s from build.run_file as r"
        " where r.file_id = f.file_id and f.publication_id is null",
        (publication_id,),
    ).rowcount
