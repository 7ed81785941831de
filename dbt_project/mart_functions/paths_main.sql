-- Main paths: for each of the first `depth` steps of a session, where it leads. In every column of the picture the
-- `top_k` nodes with the most sessions keep their name, the others are 기타 (null: all keep it). A session that has
-- ended stays as 이탈 → 이탈, so every step adds up to all sessions; share is of all sessions.
-- Without domain, segment and device it reads mart.path_month for whole months and mart.path_edge for the days around
-- them, otherwise the sessions themselves.
create or replace function mart.paths_main(
    depth integer default 5, top_k integer default null,
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (step_no integer, from_node text, to_node text, sessions bigint, share double precision)
language plpgsql stable security definer rows 200
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(paths_main.channel, paths_main.domain, paths_main.device_type);
    customers constant integer[] := mart.segment_keys(paths_main.segment);
    is_kept constant boolean := paths_main.domain is null and paths_main.segment is null
        and paths_main.device_type is null
        and paths_main.depth <= coalesce(mart.path_depth(), paths_main.depth);
    first_month constant date := coalesce(
        date_trunc('month', paths_main.from_date + interval '1 month - 1 day')::date, '-infinity'
    );
    next_month constant date := case
        when paths_main.to_date < mart.watermark_date() then date_trunc('month', paths_main.to_date + 1)::date
        else 'infinity'
    end;
begin
    if paths_main.depth is null or paths_main.depth not between 1 and 100 then
        raise exception 'depth must be between 1 and 100, not %', paths_main.depth using errcode = '22023';
    end if;
    if paths_main.top_k < 1 then
        raise exception 'top_k must be at least 1, not %', paths_main.top_k using errcode = '22023';
    end if;
    return query
    with beginning as (
        select left(s.path, paths_main.depth + 1) as path, count(*) as sessions
        from mart.session_selected(
            -- the plan for dates that never come starts no second process
            case when is_kept then 'infinity' else paths_main.from_date end, paths_main.to_date, agents, customers
        ) as s
        where not is_kept
        group by 1
    ),

    edge as (
        select e.step_no, e.from_node, e.to_node, sum(e.sessions)::bigint as sessions
        from (
            select m.step_no, m.from_node, m.to_node, m.channel, m.sessions
            from mart.path_month as m
            where m.path_month >= first_month and m.path_month < next_month
            union all
            select d.step_no, d.from_node, d.to_node, d.channel, d.sessions
            from mart.path_edge as d
            where
                d.session_date >= coalesce(paths_main.from_date, '-infinity')
                and d.session_date <= coalesce(paths_main.to_date, 'infinity')
                and (d.session_date < first_month or d.session_date >= next_month)
        ) as e
        where
            is_kept
            and e.step_no <= paths_main.depth
            and (paths_main.channel is null or e.channel = paths_main.channel)
        group by 1, 2, 3
        union all
        select l.step_no, f.node, coalesce(t.node, '이탈'), sum(l.sessions)::bigint
        from (
            select
                g.step_no,
                substr(b.path, g.step_no, 2) as pair,
                sum(b.sessions) as sessions
            from beginning as b
            inner join generate_series(1, paths_main.depth) as g (step_no) on g.step_no <= length(b.path)
            group by 1, 2
        ) as l
        inner join raw.node as f on f.node_id = raw.char_node(left(l.pair, 1))
        left join raw.node as t on t.node_id = raw.char_node(nullif(substr(l.pair, 2), ''))
        group by 1, 2, 3
    ),

    visit as (
        select e.step_no, e.from_node as node, sum(e.sessions) as sessions
        from edge as e
        where e.step_no = 1
        group by 1, 2
        union all
        select e.step_no + 1, e.to_node, sum(e.sessions)
        from edge as e
        where e.to_node <> '이탈'
        group by 1, 2
    ),

    named as (
        select r.step_no, r.node
        from (
            select v.*, row_number() over (partition by v.step_no order by v.sessions desc, v.node) as place
            from visit as v
        ) as r
        where r.place <= paths_main.top_k
    ),

    link as (
        select e.step_no, e.from_node, e.to_node, e.sessions
        from edge as e
        where paths_main.top_k is null
        union all
        select
            e.step_no,
            case when (e.step_no, e.from_node) in (select n.step_no, n.node from named as n) then e.from_node else '기타' end,
            case
                when e.to_node = '이탈' or (e.step_no + 1, e.to_node) in (select n.step_no, n.node from named as n)
                    then e.to_node
                else '기타'
            end,
            sum(e.sessions)::bigint
        from edge as e
        where paths_main.top_k is not null
        group by 1, 2, 3
        union all
        select g.step_no, '이탈', '이탈', sum(e.sessions)::bigint
        from edge as e
        cross join lateral generate_series(e.step_no + 1, paths_main.depth) as g (step_no)
        where e.to_node = '이탈'
        group by 1
    )

    select l.step_no, l.from_node, l.to_node, l.sessions, l.sessions / t.total
    from link as l
    cross join (select sum(e.sessions)::double precision as total from edge as e where e.step_no = 1) as t
    order by 1, 4 desc, 2, 3;
end
$$;
revoke execute on function mart.paths_main(integer, integer, date, date, text, text, text, text) from public;
grant execute on function mart.paths_main(integer, integer, date, date, text, text, text, text) to jm_dashboard;
