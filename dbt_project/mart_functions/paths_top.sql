-- Whole ways of sessions from the first to the tenth node: the `top_k` with the most sessions, then one row without
-- nodes for all others. Names come after counting: there are many ways. Without domain, segment and device it reads
-- mart.path_count, otherwise the sessions themselves.
create or replace function mart.paths_top(
    top_k integer default 50, from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (nodes text[], sessions bigint)
language plpgsql stable security definer rows 51
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(paths_top.channel, paths_top.domain, paths_top.device_type);
    customers constant integer[] := mart.segment_keys(paths_top.segment);
begin
    return query
    -- nodes of several kinds that share a code have one name: the first stands for them
    with same as (
        select
            string_agg(raw.node_char(n.node_id), '' order by n.node_id) as others,
            string_agg(raw.node_char(n.first_id), '' order by n.node_id) as firsts
        from (
            select d.node_id, min(d.node_id) over (partition by d.node) as first_id
            from raw.node as d
        ) as n
        where n.node_id <> n.first_id
    ),

    walked as (
        select left(p.path, 10) as path, p.sessions
        from mart.path_count as p
        where
            paths_top.domain is null and paths_top.segment is null and paths_top.device_type is null
            and p.session_date >= coalesce(paths_top.from_date, '-infinity')
            and p.session_date <= coalesce(paths_top.to_date, 'infinity')
            and (paths_top.channel is null or p.channel = paths_top.channel)
        union all
        select left(l.path, 10), 1
        from mart.session_selected(paths_top.from_date, paths_top.to_date, agents, customers) as l
        where paths_top.domain is not null or paths_top.segment is not null or paths_top.device_type is not null
    ),

    counted as materialized (
        select
            case when s.others is null then w.path else translate(w.path, s.others, s.firsts) end as path,
            sum(w.sessions)::bigint as sessions
        from walked as w
        cross join same as s
        group by 1
    ),

    most as (
        select c.path, c.sessions
        from counted as c
        order by c.sessions desc, c.path
        limit paths_top.top_k
    )

    select named.nodes, m.sessions
    from most as m
    cross join lateral (
        select array_agg(n.node order by c.step_no) as nodes
        from string_to_table(m.path, null) with ordinality as c (node_char, step_no)
        inner join raw.node as n on raw.char_node(c.node_char) = n.node_id
    ) as named
    union all
    select null, (select sum(c.sessions) from counted as c)::bigint - sum(m.sessions)::bigint
    from most as m
    having (select count(*) from counted) > count(*);
end
$$;
revoke execute on function mart.paths_top(integer, date, date, text, text, text, text) from public;
grant execute on function mart.paths_top(integer, date, date, text, text, text, text) to jm_dashboard;
