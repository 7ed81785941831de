"""Who may read what of a published mart: jm_report all but personal columns, a department its own funnels and rules.

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
    "evidence_customer_id",
    "fields",
    "hold_value",
    "person_id",
    "row_hash",  # of attributes: the few years that somebody may be born in are soon tried
    "send_id",  # a campaign system makes it of the customer's number
    "subject_id",
    "visitor_id",
)
# Whose rows belong to departments: a department sees the numbers of its own funnels and detection rules.
_OWNED = {
    "funnel_id": "select f.funnel_id from mart.funnel as f where raw.may_see_rows(f.owner)",
    "rule_id": "select d.definition_id from mart.definition as d where d.kind = 'rules' and raw.may_see_rows(d.owner)",
}
# A view reads as its owner, past the row rules of tables: one that comes to a table of departments has to ask itself
# (asks), or to read what does; otherwise (reaches) it is not for reports.
_RELATIONS = """
    with recursive relation as (
        select
            c.oid,
            c.relname,
            c.relkind,
            array_agg(a.attname::text order by a.attnum) as columns,
            exists (
                select
                from pg_rewrite as r
                inner join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
                where r.ev_class = c.oid and d.refclassid = 'pg_proc'::regclass
                and d.refobjid = 'raw.may_see_rows(text)'::regprocedure
            ) as asks
        from pg_class as c
        inner join pg_attribute as a on a.attrelid = c.oid
        where c.relnamespace = 'mart'::regnamespace and c.relkind in ('r', 'p', 'v', 'm') and a.attnum > 0
        and not a.attisdropped
        group by c.oid, c.relname, c.relkind
    ),

    reaches as (
        select oid from relation where relkind in ('r', 'p') and columns && %(owned)s
        union
        select v.oid
        from reaches as t
        inner join pg_depend as d on d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid
        inner join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
        inner join relation as v on r.ev_class = v.oid
        where v.relkind in ('v', 'm') and not v.asks
    )

    select r.oid::bigint, r.relname, r.relkind, r.columns, r.asks, r.oid in (select e.oid from reaches as e) as reaches
    from relation as r
    order by r.relname
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
        where c.relnamespace = p.pronamespace and c.relkind in ('r', 'p') and a.attname = any(%(owned)s)
        and p.prosrc ~ ('\\mmart\\.' || c.relname || '\\M')
    ))
    order by 1
"""


def access_digest(connection: psycopg.Connection) -> str:
    """Changes whenever grants have to be set anew."""
    owned = {"owned": list(_OWNED)}
    state = (
        connection.execute(_RELATIONS, owned).fetchall(),
        connection.execute(_FUNCTIONS, owned).fetchall(),
        PERSONAL,
        _OWNED,
    )
    return hashlib.sha256(repr(state).encode()).hexdigest()


def grant_access(connection: psycopg.Connection) -> None:
    """Set grants and row rules of everything in schema mart; to be called as its owner, at the end of a publication."""
    report = sql.Identifier(REPORT)
    owned = {"owned": list(_OWNED)}
    for _oid, name, kind, columns, asks, reaches in connection.execute(_RELATIONS, owned).fetchall():
        relation = sql.Identifier("mart", name)
        connection.execute(sql.SQL("revoke all on {} from {}").format(relation, report))
        if reaches and kind in ("v", "m"):
            continue
        readable = [sql.Identifier(column) for column in columns if column not in PERSONAL]
        if readable:
            connection.execute(
                sql.SQL("grant select ({}) on {} to {}").format(sql.SQL(", ").join(readable), relation, report)
            )
        if reaches:
            _set_row_rules(connection, relation, [column for column in columns if column in _OWNED])
        if asks:  # no condition of a reader is tried on rows that the view keeps back
            connection.execute(sql.SQL("alter view {} set (security_barrier)").format(relation))
    for signature, _oid, returned in connection.execute(_FUNCTIONS, owned).fetchall():
        function = sql.SQL(signature)
        if not set(returned) & set(PERSONAL):
            connection.execute(sql.SQL("grant execute on function {} to {}").format(function, report))


def _set_row_rules(connection: psycopg.Connection, table: sql.Identifier, columns: list[str]) -> None:
    connection.execute(sql.SQL("alter table {} enable row level security").format(table))
    for policy in ("department", "everything"):
        connection.execute(sql.SQL("drop policy if exists {} on {}").format(sql.Identifier(policy), table))
    connection.execute(
        sql.SQL("create policy everything on {} for select to jm_builder, jm_dashboard using (true)").format(table)
    )
    own = [sql.SQL("{} in ({})").format(sql.Identifier(column), sql.SQL(_OWNED[column])) for column in columns]
    connection.execute(
        sql.SQL("create policy department on {} for select to jm_report using ({})").format(
            table, sql.SQL(" and ").join(own)
        )
    )
