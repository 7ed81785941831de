"""What a warehouse is made of, as lines of text that two of them can be compared by: everything but rows."""

from __future__ import annotations

from journeymart.db import connect
from journeymart.settings import Settings

# Not the system's own, nor those of sessions.
_OURS = "(n.nspname !~ '^pg_' and n.nspname <> 'information_schema')"
# Who may do what, sorted: grants are kept in the order in which they were given.
_ACL = "coalesce((select string_agg(a::text, ' ' order by a::text) from unnest({acl}) as a), 'by default')"
_QUERIES = {
    "schema": """
        select n.nspname, pg_get_userbyid(n.nspowner), {acl} from pg_namespace as n where {ours}
    """,
    "relation": """
        select
            n.nspname || '.' || c.relname, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner), {acl},
            c.reloptions, c.relrowsecurity, obj_description(c.oid, 'pg_class')
        from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
        where {ours}
    """,
    "column": """
        select
            n.nspname || '.' || c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
            a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid), {acl}, a.attoptions, a.attstattarget,
            col_description(c.oid, a.attnum)
        from pg_attribute as a
        inner join pg_class as c on a.attrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        left join pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
        where {ours} and a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm')
    """,
    "constraint": """
        select n.nspname || '.' || c.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated
        from pg_constraint as k
        inner join pg_class as c on k.conrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where {ours}
    """,
    "index": """
        select pg_get_indexdef(i.indexrelid), i.indisvalid
        from pg_index as i
        inner join pg_class as c on i.indexrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where {ours}
    """,
    "view": """
        select n.nspname || '.' || c.relname, pg_get_viewdef(c.oid)
        from pg_class as c inner join pg_namespace as n on c.relnamespace = n.oid
        where {ours} and c.relkind in ('v', 'm')
    """,
    "function": """
        select
            p.oid::regprocedure, pg_get_userbyid(p.proowner), {acl}, obj_description(p.oid, 'pg_proc'),
            pg_get_functiondef(p.oid)
        from pg_proc as p inner join pg_namespace as n on p.pronamespace = n.oid
        where {ours} and p.prokind in ('f', 'p')
    """,
    "trigger": """
        select n.nspname || '.' || c.relname, pg_get_triggerdef(t.oid), t.tgenabled
        from pg_trigger as t
        inner join pg_class as c on t.tgrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where {ours} and not t.tgisinternal
    """,
    "policy": """
        select
            n.nspname || '.' || c.relname, p.polname, p.polcmd, p.polpermissive,
            array(select pg_get_userbyid(r) from unnest(p.polroles) as r order by 1),
            pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        from pg_policy as p
        inner join pg_class as c on p.polrelid = c.oid
        inner join pg_namespace as n on c.relnamespace = n.oid
        where {ours}
    """,
    "default": """
        select n.nspname, pg_get_userbyid(d.defaclrole), d.defaclobjtype, {acl}
        from pg_default_acl as d left join pg_namespace as n on d.defaclnamespace = n.oid
    """,
    "type": """
        select n.nspname || '.' || t.typname, t.typtype
        from pg_type as t inner join pg_namespace as n on t.typnamespace = n.oid
        where {ours} and t.typtype in ('d', 'e', 'r')
    """,
    "database": """
        select 'this', pg_get_userbyid(d.datdba), {acl} from pg_database as d where d.datname = current_database()
    """,
    "role": """
        select
            r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin, r.rolreplication,
            r.rolbypassrls, r.rolconnlimit, array(
                select pg_get_userbyid(m.roleid) from pg_auth_members as m where m.member = r.oid order by 1
            ),
            array(
                select s from pg_db_role_setting as g cross join unnest(g.setconfig) as s
                where g.setrole = r.oid order by s
            )
        from pg_roles as r where r.rolname !~ '^pg_'
    """,
}
_ACL_OF = {
    "schema": "n.nspacl",
    "relation": "c.relacl",
    "column": "a.attacl",
    "function": "p.proacl",
    "default": "d.defaclacl",
    "database": "d.datacl",
}


def catalogue(settings: Settings) -> set[str]:
    """Every object of the warehouse with what is granted on it, and the roles of its server; a line each."""
    lines = set()
    with connect("jm_admin", settings=settings) as connection:
        connection.execute("set local search_path = ''")  # every name with its schema
        for kind, query in _QUERIES.items():
            text = query.replace("{ours}", _OURS)
            text = text.replace("{acl}", _ACL.format(acl=_ACL_OF.get(kind, "null")))
            lines |= {f"{kind} {' | '.join(map(str, row))}" for row in connection.execute(text.encode())}
    return lines
