-- Which errors make people leave: of the visits of a page (steps of paths) in which an error was met, the share in
-- which the session ended, beside that of the other visits of the page, in which none was met: the difference with
-- its 95 % confidence interval (mart.share_difference), and the exits that it stands for (extra_exits; below 0:
-- fewer). Visits are compared and not sessions, because long sessions have more of everything, errors and
-- transactions, too. Visits with two codes count for both. Of what at least `least_visits` visits met, the `top_k`
-- are named for which the lower end of the interval stands for the most exits, or chance would lead; the others are
-- 기타, so that visits and exits add up. It takes the visits of a session for independent. Without domain, segment and
-- device the other visits are read from mart.path_move, else from the sessions themselves.
create or replace function mart.paths_after_error(
    least_visits integer default 20, top_k integer default 20,
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (
    node text, error_code text, visits bigint, exits bigint, exit_share double precision,
    other_visits bigint, other_exits bigint, other_exit_share double precision,
    difference double precision, difference_low double precision, difference_high double precision,
    extra_exits double precision
)
language plpgsql stable security definer rows 21
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(
        paths_after_error.channel, paths_after_error.domain, paths_after_error.device_type
    );
    customers constant integer[] := mart.segment_keys(paths_after_error.segment);
    is_kept constant boolean := paths_after_error.domain is null and paths_after_error.segment is null
        and paths_after_error.device_type is null;
begin
    if paths_after_error.top_k < 1 then
        raise exception 'top_k must be at least 1, not %', paths_after_error.top_k using errcode = '22023';
    end if;
    return query
    with met as materialized (
        select
            s.session_id,
            w.step_no,
            w.error_key,
            raw.char_node(substr(s.path, w.step_no, 1)) as node_id,
            w.step_no = length(s.path) as is_exit
        from mart.session_selected(
            paths_after_error.from_date, paths_after_error.to_date, agents, customers
        ) as s
        cross join lateral unnest(s.error_keys, s.error_steps) as w (error_key, step_no)
        where s.errors > 0 -- known without the lists, which are stored apart
    ),

    with_code as (
        select n.node, v.error_code, count(*) as visits, count(*) filter (where v.is_exit) as exits
        from (
            select distinct
                m.session_id, m.step_no, m.node_id, m.is_exit, left(coalesce(r.error_code, '(none)'), 256) as error_code
            from met as m
            inner join raw.error as r on r.error_key = m.error_key
        ) as v
        inner join raw.node as n on n.node_id = v.node_id
        group by 1, 2
    ),

    -- all visits, less those with whatever error
    visited as (
        select v.node_id, v.visits, case when v.next_node_id is null then v.visits else 0 end as exits
        from mart.path_move as v
        where
            is_kept
            and v.session_date >= coalesce(paths_after_error.from_date, '-infinity')
            and v.session_date <= coalesce(paths_after_error.to_date, 'infinity')
            and (paths_after_error.channel is null or v.channel = paths_after_error.channel)
        union all
        select raw.char_node(g.node_char), count(*), count(*) filter (where g.step_no = length(s.path))
        from mart.session_selected(
            paths_after_error.from_date, paths_after_error.to_date, agents, customers
        ) as s
        cross join lateral string_to_table(s.path, null) with ordinality as g (node_char, step_no)
        where not is_kept
        group by 1
        union all
        select v.node_id, -count(*), -count(*) filter (where v.is_exit)
        from (select distinct m.session_id, m.step_no, m.node_id, m.is_exit from met as m) as v
        group by 1
    ),

    without_error as (
        select n.node, sum(v.visits)::bigint as visits, sum(v.exits)::bigint as exits
        from visited as v
        inner join raw.node as n on n.node_id = v.node_id
        group by 1
    ),

    compared as (
        select
            c.node, c.error_code, c.visits, c.exits, o.visits as other_visits, o.exits as other_exits,
            d.share_a, d.share_b, d.difference, d.difference_low, d.difference_high,
            c.visits * d.difference_low as at_least
        from with_code as c
        inner join without_error as o on o.node = c.node
        cross join lateral mart.share_difference(c.exits, c.visits, o.exits, o.visits) as d
    ),

    ranked as materialized (
        select
            c.*,
            c.visits >= paths_after_error.least_visits
            and row_number() over (
                order by
                    c.visits >= paths_after_error.least_visits desc, c.at_least desc nulls last, c.visits desc,
                    c.node, c.error_code
            ) <= coalesce(paths_after_error.top_k, count(*) over ()) as is_named
        from compared as c
    )

    select
        s.node, s.error_code, s.visits, s.exits, s.exits / s.visits::double precision,
        s.other_visits, s.other_exits, s.share_b, s.difference, s.difference_low, s.difference_high,
        s.visits * s.difference
    from (
        select
            r.node, r.error_code, r.visits, r.exits, r.other_visits, r.other_exits, r.share_b,
            r.difference, r.difference_low, r.difference_high, r.at_least, 0 as place
        from ranked as r
        where r.is_named
        union all
        select
            '기타', '기타', sum(r.visits)::bigint, sum(r.exits)::bigint, null, null, null, null, null, null, null, 1
        from ranked as r
        where not r.is_named
        having count(*) > 0
    ) as s
    order by s.place, s.at_least desc nulls last, s.visits desc, s.node, s.error_code;
end
$$;
revoke execute on function mart.paths_after_error(
    integer, integer, date, date, text, text, text, text
) from public;
grant execute on function mart.paths_after_error(
    integer, integer, date, date, text, text, text, text
) to jm_dashboard;
