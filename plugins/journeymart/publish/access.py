"""Who may read what of a published mart: jm_report everything but personal columns, and a department its own funnels.

jm_dashboard reads the whole mart; the dashboards of everybody but the customer service connect as jm_report. Grants and
row rules are set anew only when the relations, columns or functions of schema mart have changed.
"""

from __future__ import annotations

import hashlib

import psycopg
from psycopg import sql

REPORT = "jm_report"
# Columns that name a person or hold what somebody wrote, wherever they occur: a new table is covered before anybody
# thinks of it. Keys stay readable: they count people, and nobody who reads mart can turn them into a number.
PERSONAL = (
    "answers",
    "attributes",
    "birth_year",
    "customer_id",
    "detail",
    "evidence",
    "fields",
    "hold_value",
    "person_id",
    "subject_id",
    "visitor_id",
)
_RELATIONS = """
    select c.oid::bigint, c.relname, c.relkind, array_agg(a.attname::text order by a.attnum) as columns
    from pg_class as c
    inner join pg_attribute as a on a.attrelid = c.oid
    where c.relnamespace = 'mart'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0
    and not a.attisdropped
    group by c.oid, c.relname, c.relkind
    order by c.relname
"""
# What a function returns, by name: its table's columns (t) and out arguments (o). What reads as its owner reads past
# the row rules below: where it names a table that has them it is not for reports, unless it asks for the funnel's
# definition, which is null for those who may not see its rows.
_FUNCTIONS = """
    select
        p.oid::regprocedure::text,
        p.oid::bigint,
        array(
            select n.name
            from unnest(p.proargnames, p.proargmodes) as n (name, mode)
            where n.mode in ('t', 'o', 'b')
        ) as returned
    from pg_proc as p
    where p.pronamespace = 'mart'::regnamespace and has_function_privilege('jm_dashboard', p.oid, 'execute')
    and not (p.prosecdef and p.prosrc !~ '\\mmart\\.funnel_definition\\M' and exists (
        select
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid
        where c.relnamespace = p.pronamespace and c.relkind = 'r' and a.attname = 'funnel_id'
        and p.prosrc ~ ('\\mmart\\.' || c.relname || '\\M')
    ))
    order by 1
"""
# A department sees the numbers of its own funnels.
_DEPARTMENT = """
    create policy department on {table} for select to jm_report using (
        funnel_id in (select f.funnel_id from mart.funnel as f where raw.may_see_rows(f.owner))
    )
"""


def access_digest(connection: psycopg.Connection) -> str:
    """Changes whenever grants have to be set anew."""
    state = (
        connection.execute(_RELATIONS).fetchall(),
        connection.execute(_FUNCTIONS).fetchall(),
        PERSONAL,
        _DEPARTMENT,
    )
    return hashlib.sha256(repr(state).encode()).hexdigest()


def grant_access(connection: psycopg.Connection) -> None:
    """Set grants and row rules of everything in schema mart; to be called as its owner, at the end of a publication."""
    report = sql.Identifier(REPORT)
    for _oid, name, kind, columns in connection.execute(_RELATIONS).fetchall():
        relation = sql.Identifier("mart", name)
        connection.execute(sql.SQL("revoke all on {} from {}").format(relation, report))
        readable = [sql.Identifier(column) for column in columns if column not in PERSONAL]
        if readable:
            connection.execute(
                sql.SQL("grant select ({}) on {} to {}").format(sql.SQL(", ").join(readable), relation, report)
            )
        if kind == "r" and "funnel_id" in columns:
            _set_row_rules(connection, relation)
    for signature, _oid, returned in connection.execute(_FUNCTIONS).fetchall():
        function = sql.SQL(signature)
        if not set(returned) & set(PERSONAL):
            connection.execute(sql.SQL("grant execute on function {} to {}").format(function, report))


def _set_row_rules(connection: psycopg.Connection, table: sql.Identifier) -> None:
    connection.execute(sql.SQL("alter table {} enable row level security").format(table))
    for policy in ("department", "everything"):
        connection.execute(sql.SQL("drop policy if exists {} on {}").format(sql.Identifier(policy), table))
    connection.execute(
        sql.SQL("create policy everything on {} for select to jm_builder, jm_dashboard using (true)").format(table)
    )
    connection.execute(sql.SQL(_DEPARTMENT).format(table=table))
