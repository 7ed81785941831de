-- The `top_k` moves from one node to another that are made most often, at whatever step, then one row 기타 → 기타 for all
-- others: the map of journeys. Without domain, segment and device it reads mart.path_move, otherwise the sessions
-- themselves.
create or replace function mart.paths_moves(
    top_k integer default 40, from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (from_node text, to_node text, moves bigint)
language plpgsql stable security definer rows 41
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(paths_moves.channel, paths_moves.domain, paths_moves.device_type);
    customers constant integer[] := mart.segment_keys(paths_moves.segment);
begin
    return query
    with moved as (
        select m.path as pair, sum(m.visits) as moves
        from mart.path_move as m
        where
            paths_moves.domain is null and paths_moves.segment is null and paths_moves.device_type is null
            and m.next_node_id is not null
            and m.session_date >= coalesce(paths_moves.from_date, '-infinity')
            and m.session_date <= coalesce(paths_moves.to_date, 'infinity')
            and (paths_moves.channel is null or m.channel = paths_moves.channel)
        group by 1
        union all
        select substr(s.path, g.step_no, 2), count(*)
        from mart.session_selected(paths_moves.from_date, paths_moves.to_date, agents, customers) as s
        cross join lateral generate_series(1, length(s.path) - 1) as g (step_no)
        where paths_moves.domain is not null or paths_moves.segment is not null or paths_moves.device_type is not null
        group by 1
    ),

    named as materialized (
        select f.node as from_node, t.node as to_node, sum(m.moves)::bigint as moves
        from moved as m
        inner join raw.node as f on raw.char_node(left(m.pair, 1)) = f.node_id
        inner join raw.node as t on raw.char_node(right(m.pair, 1)) = t.node_id
        where f.node <> t.node
        group by 1, 2
    ),

    most as materialized (
        select n.from_node, n.to_node, n.moves
        from named as n
        order by n.moves desc, n.from_node, n.to_node
        limit paths_moves.top_k
    )

    select m.from_node, m.to_node, m.moves
    from most as m
    union all
    select '기타', '기타', (select sum(n.moves) from named as n)::bigint - sum(m.moves)::bigint
    from most as m
    having (select count(*) from named) > count(*);
end
$$;
revoke execute on function mart.paths_moves(integer, date, date, text, text, text, text) from public;
grant execute on function mart.paths_moves(integer, date, date, text, text, text, text) to jm_dashboard;
