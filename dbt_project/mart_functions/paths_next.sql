-- Where sessions go from a node, by visit: how often, which share of the visits, and how long they stayed before
-- (median). 이탈 is the end of the session; its time runs to the session's last event.
create or replace function mart.paths_next(
    node text, top_k integer default null, kind text default 'page',
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null
)
returns table (to_node text, visits bigint, share double precision, median_dwell_seconds double precision)
language plpgsql stable security definer rows 50
set search_path = '' set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    chars constant text := mart.path_chars(paths_next.node, coalesce(paths_next.kind, ''));
begin
    if chars is null or paths_next.top_k < 1 then
        raise exception 'kind must be page or transaction, and top_k at least 1' using errcode = '22023';
    end if;
    return query
    with visit as (
        select
            coalesce(n.code, '이탈') as to_node,
            extract(epoch from coalesce(t.left_at, s.ended_at) - t.arrived_at)::double precision as seconds
        from mart.session_anchored(
            chars, null, 'first', paths_next.from_date, paths_next.to_date,
            paths_next.channel, paths_next.domain, paths_next.segment
        ) as s
        cross join lateral (
            select
                p.node_id,
                p.arrived_at,
                lead(p.node_id) over step_order as next_node_id,
                lead(p.arrived_at) over step_order as left_at
            from mart.session_step(s.visitor_key, s.started_at, s.ended_at, s.transactions) as p
            window step_order as (order by p.step_no)
        ) as t
        left join raw.node as n on n.node_id = t.next_node_id
        where strpos(chars, raw.node_char(t.node_id)) > 0
    ),

    ranked as (
        select
            v.to_node,
            v.to_node = '이탈'
            or row_number() over (order by (v.to_node = '이탈'), count(*) desc, v.to_node)
            <= coalesce(paths_next.top_k, count(*) over ()) as is_named
        from visit as v
        group by v.to_node
    )

    select
        case when r.is_named then r.to_node else '기타' end,
        count(*),
        count(*) / sum(count(*)) over ()::double precision,
        percentile_cont(0.5) within group (order by v.seconds)
    from visit as v
    inner join ranked as r on r.to_node = v.to_node
    group by 1
    order by 2 desc, 1;
end
$$;
revoke execute on function mart.paths_next(text, integer, text, date, date, text, text, text) from public;
grant execute on function mart.paths_next(text, integer, text, date, date, text, text, text) to jm_dashboard;
