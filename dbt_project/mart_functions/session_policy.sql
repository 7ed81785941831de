-- What definitions/sessions.yml says, as it was when the mart was published.

-- The time zone of every calendar date in the mart.
create or replace function mart.time_zone()
returns text
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
    select d.content ->> 'time_zone'
    from mart.definition as p
    inner join config.definition as d using (kind, definition_id, version)
    where p.kind = 'sessions'
$$;
revoke execute on function mart.time_zone() from public;
grant execute on function mart.time_zone() to jm_builder, jm_dashboard;

-- How deep mart.path_edge goes.
create or replace function mart.path_depth()
returns integer
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
    select least((d.content ->> 'path_depth')::integer, 500)
    from mart.definition as p
    inner join config.definition as d using (kind, definition_id, version)
    where p.kind = 'sessions'
$$;
revoke execute on function mart.path_depth() from public;
