-- What happens from the first visit of `start` to the next visit of `end` after it, at most `max_steps` steps later:
-- the whole way, by number of sessions, with the median time it takes. The `top_k` most frequent ways are named, the
-- others are 기타 (null: all are named); 이탈 are the sessions that come to the start and not on to the end, so that
-- the column adds up to the sessions at the start.
create or replace function mart.paths_between(
    "start" text, "end" text, top_k integer default null, max_steps integer default null,
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
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
    return query
    with begun as (
        select
            s.path,
            s.path_times,
            s.step_no,
            strpos(mart.path_unified(substr(s.path, s.step_no + 1), ends), left(ends, 1)) as steps
        from mart.session_anchored(
            starts, null, 'first', paths_between.from_date, paths_between.to_date, agents, customers
        ) as s
    ),

    way as (
        select
            substr(b.path, b.step_no, b.steps + 1) as nodes,
            extract(epoch from b.path_times[b.step_no + b.steps] - b.path_times[b.step_no])::double precision as seconds
        from begun as b
        where b.steps between 1 and coalesce(paths_between.max_steps, b.steps)
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
                select string_agg(n.node, ' > ' order by c.step_no)
                from string_to_table(f.nodes, null) with ordinality as c (node_char, step_no)
                inner join raw.node as n on n.node_id = raw.char_node(c.node_char)
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
        select 2, null, '이탈', count(*), null
        from begun as b
        where (b.steps between 1 and coalesce(paths_between.max_steps, b.steps)) is not true
        having count(*) > 0
    )

    select s.path, s.sessions, s.median_seconds
    from shown as s
    order by s.place, s.sessions desc, s.nodes; -- of equally frequent ways the same come first that are named first
end
$$;
revoke execute on function mart.paths_between(
    text, text, integer, integer, date, date, text, text, text, text
) from public;
grant execute on function mart.paths_between(
    text, text, integer, integer, date, date, text, text, text, text
) to jm_dashboard;
