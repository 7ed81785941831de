-- What definitions/sessions.yml says of paths.

-- How deep mart.path_edge goes; null means all the way.
create or replace function mart.path_depth()
returns integer
language sql stable parallel safe security definer set search_path = ''
as $$
    select (d.content ->> 'path_depth')::integer
    from config.definition as d
    where d.kind = 'sessions' and d.retired_at is null
$$;
revoke execute on function mart.path_depth() from public;

-- Whether the same node twice in a row is one step.
create or replace function mart.repeats_collapsed()
returns boolean
language sql stable parallel safe security definer set search_path = ''
as $$
    select (d.content ->> 'collapse_repeats')::boolean
    from config.definition as d
    where d.kind = 'sessions' and d.retired_at is null
$$;
revoke execute on function mart.repeats_collapsed() from public;
