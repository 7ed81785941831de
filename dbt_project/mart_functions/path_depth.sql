-- How deep mart.path_edge goes; null means all the way.
create or replace function mart.path_depth()
returns integer
language sql stable security definer set search_path = ''
as $$
    select (d.content ->> 'path_depth')::integer
    from config.definition as d
    where d.kind = 'sessions' and d.retired_at is null
$$;
revoke execute on function mart.path_depth() from public;
