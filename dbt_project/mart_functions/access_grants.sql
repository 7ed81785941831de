-- Who asked that somebody may open dashboards, and what became of it, for auditors. Reasons are masked as purposes are
-- in mart.access_log().
create or replace function mart.access_grants()
returns table (
    user_name text, full_name text, role text, reason text, until_on date, requested_by text, requested_at timestamptz,
    approved_by text, approved_at timestamptz, ended_at timestamptz, ended_by text
)
language sql stable security definer rows 1000 set search_path = pg_catalog, pg_temp
as $$
    select
        g.user_name,
        g.full_name,
        g.role,
        regexp_replace(g.reason, '\m(?=\w*\d)(\w\w)\w+(\w\w)\M', '\1***\2', 'g'),
        g.until_on,
        g.requested_by,
        g.requested_at,
        g.approved_by,
        g.approved_at,
        g.ended_at,
        g.ended_by
    from ops.access_grant as g
$$;
revoke execute on function mart.access_grants() from public;
grant execute on function mart.access_grants() to jm_auditor;
