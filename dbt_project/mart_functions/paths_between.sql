-- What happens from the first visit of `start` to the next visit of `end` after it, at most `max_steps` steps later:
-- the whole way, by number of sessions, with the median time it takes. The `top_k` most frequent ways are named, the
-- others are 기타 (null: all are named); 이탈 are the sessions that come to the start and not on to the end, so that
-- the column adds up to the sessions at the start. With `within`, of persons instead of sessions: from their first time
-- at `start` on, across visits, channels and what happens outside of both, so long at most (mart.journey_anchored).
create or replace function mart.paths_between(
    "start" text, "end" text, top_k integer default null, max_steps integer default null,
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null, within interval default null
)
returns table (path text, sessions bigint, median_seconds double precision)
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(
        paths_between.channel, paths_between.domain, paths_between.device_type
    );
    customers constant integer[] := mart.segment_keys(paths_between.segment);
    starts constant text := mart.path_chars("start", null);
    ends constant text := mart.path_chars("end", null);
begin
    if paths_between.top_k < 1 or paths_between.max_steps < 1 then
        raise exception 'top_k and max_steps must be at least 1' using errcode = '22023';
    end if;
    perform mart.path_within(paths_between.within);
    return query
    with journey as (
        select s.path, s.path_times, s.step_no
        from mart.session_anchored(
            starts, null, 'first', paths_between.from_date, paths_between.to_date, agents, customers
        ) as s
        where paths_between.within is null
        union all
        select a.path, a.path_times, a.step_no
        from mart.journey_anchored(
            starts, null, 'first', paths_between.within, paths_between.from_date, paths_between.to_date, agents,
            customers, paths_between.channel, coalesce(paths_between.domain, paths_between.device_type) is null
        ) as a
        where paths_between.within is not null
    ),

    begun as (
        select
            j.path,
            j.path_times,
            j.step_no,
            strpos(mart.path_unified(substr(j.path, j.step_no + 1), ends), left(ends, 1)) as steps
        from journey as j
    ),

    way as (
        select
            substr(b.path, b.step_no, b.steps + 1) as nodes,
            extract(epoch from b.path_times[b.step_no + b.steps] - b.path_times[b.step_no])::double precision as seconds
        from begun as b
        where
            b.steps between 1 and coalesce(paths_between.max_steps, b.steps)
            and coalesce(
                b.path_times[b.step_no + b.steps] <= b.path_times[b.step_no] + paths_between.within,
                paths_between.within is null
            )
    ),

    ranked as materialized (
        select
            w.nodes,
            case
                when row_number() over (order by count(*) desc, w.nodes) <= coalesce(paths_between.top_k, count(*) over ())
                    then w.nodes
            end as named
        from way as w
        group by w.nodes
    ),

    found as (
        select
            r.named as nodes,
            count(*) as sessions,
            percentile_cont(0.5) within group (order by w.seconds) as median_seconds
        from way as w
        inner join ranked as r on r.nodes = w.nodes
        group by r.named
    ),

    shown as (
        select
            0 as place,
            f.nodes,
            (
                select string_agg(coalesce(n.node, '(consultation)'), ' > ' order by c.step_no)
                from string_to_table(f.nodes, null) with ordinality as c (node_char, step_no)
                left join raw.node as n on n.node_id = raw.char_node(c.node_char)
            ) as path,
            f.sessions,
            f.median_seconds
        from found as f
        where f.nodes is not null
        union all
        select 1, null, '기타', f.sessions, f.median_seconds
        from found as f
        where f.nodes is null
        union all
        select 2, null, '이탈', m.sessions, null
        from (select (select count(*) from begun) - (select count(*) from way) as sessions) as m
        where m.sessions > 0
    )

    select s.path, s.sessions, s.median_seconds
    from shown as s
    order by s.place, s.sessions desc, s.nodes; -- of equally frequent ways the same come first that are named first
end
$$;
revoke execute on function mart.paths_between(
    text, text, integer, integer, date, date, text, text, text, text, interval
) from public;
grant execute on function mart.paths_between(
    text, text, integer, integer, date, date, text, text, text, text, interval
) to jm_dashboard;
