-- Whole ways of sessions from the first to the tenth node: the `top_k` with the most sessions, then one row without
-- nodes for all others. Names come after counting: there are many ways.
create or replace function mart.paths_top(
    top_k integer default 50, from_date date default null, to_date date default null
)
returns table (nodes text[], sessions bigint)
language sql stable security definer rows 51
set search_path = '' set work_mem = '64MB'
as $$
    -- nodes of several kinds that share a code have one name: the first stands for them
    with same as (
        select
            string_agg(raw.node_char(n.node_id), '' order by n.node_id) as others,
            string_agg(raw.node_char(n.first_id), '' order by n.node_id) as firsts
        from (
            select d.node_id, min(d.node_id) over (partition by d.code) as first_id
            from raw.node as d
        ) as n
        where n.node_id <> n.first_id
    ),

    counted as materialized (
        select
            case
                when s.others is null then left(p.path, 10)
                else translate(left(p.path, 10), s.others, s.firsts)
            end as path,
            sum(p.sessions)::bigint as sessions
        from mart.path_count as p
        cross join same as s
        where
            p.session_date >= coalesce(paths_top.from_date, '-infinity')
            and p.session_date <= coalesce(paths_top.to_date, 'infinity')
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
        select array_agg(n.code order by c.step_no) as nodes
        from string_to_table(m.path, null) with ordinality as c (node_char, step_no)
        inner join raw.node as n on raw.char_node(c.node_char) = n.node_id
    ) as named
    union all
    select null, (select sum(c.sessions) from counted as c)::bigint - sum(m.sessions)::bigint
    from most as m
    having (select count(*) from counted) > count(*)
$$;
revoke execute on function mart.paths_top(integer, date, date) from public;
grant execute on function mart.paths_top(integer, date, date) to jm_dashboard;
