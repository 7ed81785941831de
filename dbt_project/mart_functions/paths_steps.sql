-- Sessions that come to the first node, then to the second, and so on, other nodes in between or not: as many rows as
-- nodes for each segment ('all' means everyone). exited are those who reach a step and not the next, so that reached
-- is the next step's reached and exited together; from_previous and from_first are shares of 0 to 1.
create or replace function mart.paths_steps(
    nodes text[], segments text[] default array['all'],
    from_date date default null, to_date date default null, channel text default null, domain text default null,
    device_type text default null
)
returns table (
    step_no integer, node text, segment text, reached bigint,
    from_previous double precision, from_first double precision, exited bigint
)
language plpgsql stable security definer rows 20
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    chars text[];
    patterns text[];
    doubles text;
    singles text;
    agents constant integer[] := mart.agent_keys(paths_steps.channel, paths_steps.domain, paths_steps.device_type);
    customers integer[];
    group_name text;
begin
    if coalesce(cardinality(paths_steps.nodes), 0) not between 1 and 32 then
        raise exception 'nodes must be 1 to 32 pages or transactions' using errcode = '22023';
    end if;
    select array_agg(mart.path_chars(n.code, null) order by n.step_no)
    into chars
    from unnest(paths_steps.nodes) with ordinality as n (code, step_no);
    -- nodes that share a code become one, as in mart.path_unified
    select string_agg(substr(c.chars, 2), ''), string_agg(repeat(left(c.chars, 1), length(c.chars) - 1), '')
    into doubles, singles
    from (select distinct u.chars from unnest(chars) as u (chars)) as c;
    -- what a path that comes to each step looks like
    select array_agg('%' || w.way || '%' order by w.step_no)
    into patterns
    from (
        select u.step_no, string_agg(left(u.chars, 1), '%') over (order by u.step_no) as way
        from unnest(chars) with ordinality as u (chars, step_no)
    ) as w;
    foreach group_name in array paths_steps.segments loop
        customers := mart.segment_keys(nullif(group_name, 'all'));
        return query
        with walked as (
            select t.step_no, count(*)::bigint as reached
            from (
                select case when doubles = '' then a.path else translate(a.path, doubles, singles) end as path
                from mart.session_selected(paths_steps.from_date, paths_steps.to_date, agents, customers) as a
            ) as s
            inner join unnest(patterns) with ordinality as t (pattern, step_no) on s.path like t.pattern
            where strpos(s.path, left(chars[1], 1)) > 0
            group by 1
        ),

        step as (
            select n.step_no::integer as step_no, n.code, coalesce(w.reached, 0) as reached
            from unnest(paths_steps.nodes) with ordinality as n (code, step_no)
            left join walked as w on w.step_no = n.step_no
        )

        select
            s.step_no,
            s.code,
            group_name,
            s.reached,
            s.reached / nullif(lag(s.reached) over step_order, 0)::double precision,
            s.reached / nullif(first_value(s.reached) over step_order, 0)::double precision,
            coalesce(s.reached - lead(s.reached) over step_order, 0)
        from step as s
        window step_order as (order by s.step_no)
        order by s.step_no;
    end loop;
end
$$;
revoke execute on function mart.paths_steps(text[], text[], date, date, text, text, text) from public;
grant execute on function mart.paths_steps(text[], text[], date, date, text, text, text) to jm_dashboard;
