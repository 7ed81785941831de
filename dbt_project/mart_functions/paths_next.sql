-- Where sessions go from a node, by visit: how often, which share of the visits, and how long they stayed before
-- (median). 이탈 is the end of the session; its time runs to the session's last event.
create or replace function mart.paths_next(
    node text, top_k integer default null, kind text default 'page',
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (to_node text, visits bigint, share double precision, median_dwell_seconds double precision)
language plpgsql stable security definer rows 50
set search_path = '' set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    chars constant text := mart.path_chars(paths_next.node, coalesce(paths_next.kind, ''));
    nodes constant integer[] := array(
        select raw.char_node(c.node_char) from string_to_table(chars, null) as c (node_char)
    );
    is_collapsed constant boolean := mart.repeats_collapsed();
begin
    if chars is null or paths_next.top_k < 1 then
        raise exception 'kind must be page or transaction, and top_k at least 1' using errcode = '22023';
    end if;
    return query
    with session as materialized (
        select s.*
        from mart.session_anchored(
            chars, null, 'first', paths_next.from_date, paths_next.to_date,
            paths_next.channel, paths_next.domain, paths_next.segment, paths_next.device_type
        ) as s
    ),

    -- the steps that mart.session_step gives of one session, of all of them at once
    happened as (
        select s.visitor_key, s.started_at, s.ended_at, e.event_at as arrived_at, 0 as source_rank, e.row_id, e.node_id
        from session as s
        inner join mart.session_event as e
            on
                e.visitor_key = s.visitor_key
                and e.started_at = s.started_at
                and e.event_at between s.started_at and s.ended_at
        where e.is_move
        union all
        select s.visitor_key, s.started_at, s.ended_at, t.transacted_at, 1, t.row_id, t.node_id
        from session as s
        inner join mart.transaction_fact as t
            on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
        where s.transactions > 0
    ),

    step as (
        select
            h.*,
            lag(h.node_id) over (
                partition by h.visitor_key, h.started_at order by h.arrived_at, h.source_rank, h.row_id
            ) as last_node_id
        from happened as h
    ),

    -- of all of them only arrivals at the node and what comes right after it
    moved as (
        select
            p.*,
            lead(p.node_id) over history as next_node_id,
            lead(p.arrived_at) over history as left_at
        from step as p
        where
            (p.node_id = any(nodes) or p.last_node_id = any(nodes))
            and (p.node_id is distinct from p.last_node_id or not is_collapsed)
        window history as (
            partition by p.visitor_key, p.started_at order by p.arrived_at, p.source_rank, p.row_id
        )
    ),

    -- names come after counting: there are many visits and few next nodes
    onward as (
        select
            m.next_node_id,
            count(*) as visits,
            array_agg(
                extract(epoch from coalesce(m.left_at, m.ended_at) - m.arrived_at)::double precision
            ) as seconds
        from moved as m
        where m.node_id = any(nodes)
        group by m.next_node_id
    ),

    total as (
        select
            coalesce(n.code, '이탈') as to_node,
            n.code is null as is_exit,
            o.seconds,
            sum(o.visits) over (partition by n.code) as visits
        from onward as o
        left join raw.node as n on n.node_id = o.next_node_id
    ),

    ranked as (
        select
            t.to_node,
            t.seconds,
            t.is_exit
            or dense_rank() over (order by t.is_exit, t.visits desc, t.to_node)
            <= coalesce(paths_next.top_k, count(*) over ()) as is_named
        from total as t
    )

    select
        case when r.is_named then r.to_node else '기타' end,
        count(*),
        count(*) / sum(count(*)) over ()::double precision,
        percentile_cont(0.5) within group (order by s.seconds)
    from ranked as r
    cross join lateral unnest(r.seconds) as s (seconds)
    group by 1
    order by 2 desc, 1;
end
$$;
revoke execute on function mart.paths_next(text, integer, text, date, date, text, text, text, text) from public;
grant execute on function mart.paths_next(text, integer, text, date, date, text, text, text, text) to jm_dashboard;
