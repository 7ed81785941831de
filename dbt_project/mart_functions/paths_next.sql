-- Where sessions go from a node, by visit: how often, which share of the visits, and how long they stayed before
-- (median). 이탈 is the end of the session; its time runs to the session's last event: none for a transaction after it.
-- Without domain, segment and device it reads mart.path_move, otherwise the sessions themselves.
create or replace function mart.paths_next(
    node text, top_k integer default null, kind text default 'page',
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (to_node text, visits bigint, share double precision, median_dwell_seconds double precision)
language plpgsql stable security definer rows 50
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(paths_next.channel, paths_next.domain, paths_next.device_type);
    customers constant integer[] := mart.segment_keys(paths_next.segment);
    chars constant text := mart.path_chars(paths_next.node, coalesce(paths_next.kind, ''));
    nodes constant integer[] := array(
        select raw.char_node(c.node_char) from string_to_table(chars, null) as c (node_char)
    );
    is_kept constant boolean := paths_next.domain is null and paths_next.segment is null
        and paths_next.device_type is null;
begin
    if chars is null or paths_next.top_k < 1 then
        raise exception 'kind must be page or transaction, and top_k at least 1' using errcode = '22023';
    end if;
    return query
    with stay as materialized (
        select m.next_node_id, m.visits, m.stays
        from mart.path_move as m
        where
            is_kept
            and m.node_id = any(nodes)
            and m.session_date >= coalesce(paths_next.from_date, '-infinity')
            and m.session_date <= coalesce(paths_next.to_date, 'infinity')
            and (paths_next.channel is null or m.channel = paths_next.channel)
        union all
        select
            raw.char_node(nullif(substr(s.path, s.step_no + 1, 1), '')),
            count(*),
            array_agg(
                greatest(
                    date_part('epoch', coalesce(s.path_times[s.step_no + 1], s.ended_at) - s.path_times[s.step_no]), 0
                )
            )
        from mart.session_anchored(
            chars, null, 'all', paths_next.from_date, paths_next.to_date, agents, customers
        ) as s
        where not is_kept
        group by 1
    ),

    onward as (
        select
            o.next_node_id,
            coalesce(n.node, '이탈') as to_node,
            n.node is null as is_exit,
            sum(o.visits) over (partition by n.node) as visits
        from (
            select s.next_node_id, sum(s.visits) as visits
            from stay as s
            group by 1
        ) as o
        left join raw.node as n on n.node_id = o.next_node_id
    ),

    ranked as (
        select
            o.next_node_id,
            case
                when
                    o.is_exit
                    or dense_rank() over (order by o.is_exit, o.visits desc, o.to_node)
                    <= coalesce(paths_next.top_k, count(*) over ())
                    then o.to_node
                else '기타'
            end as to_node
        from onward as o
    ),

    named as materialized (
        select r.to_node, s.visits, s.stays
        from stay as s
        inner join ranked as r on coalesce(r.next_node_id, -1) = coalesce(s.next_node_id, -1)
    )

    -- one by one: to sort the times of all nodes together takes longer than those of each
    select
        g.to_node,
        g.visits,
        g.visits / sum(g.visits) over ()::double precision,
        (
            select percentile_cont(0.5) within group (order by t.seconds)
            from named as n
            cross join unnest(n.stays) as t (seconds)
            where n.to_node = g.to_node
        )
    from (
        select n.to_node, sum(n.visits)::bigint as visits
        from named as n
        group by 1
    ) as g
    order by 2 desc, 1;
end
$$;
revoke execute on function mart.paths_next(text, integer, text, date, date, text, text, text, text) from public;
grant execute on function mart.paths_next(text, integer, text, date, date, text, text, text, text) to jm_dashboard;
