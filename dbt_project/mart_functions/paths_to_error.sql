-- Which ways lead to an error more often than sessions meet it in general: by the last `steps` moves to where a session
-- first meets it (유입: it began so), their share among the sessions with the error and among all sessions, and lift, the
-- one divided by the other: how many times as likely as in any session the error is on this way. The `top_k` with the
-- highest lift are named, of those that at least `least_sessions` sessions take, or a rare one would lead; the others
-- are 기타, so that the shares of the error add up.
create or replace function mart.paths_to_error(
    error text, steps integer default 2, least_sessions integer default 20, top_k integer default 20,
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (
    path text, sessions bigint, share double precision, all_sessions bigint, share_of_all double precision,
    error_rate double precision, lift double precision
)
language plpgsql stable security definer rows 21
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(
        paths_to_error.channel, paths_to_error.domain, paths_to_error.device_type
    );
    customers constant integer[] := mart.segment_keys(paths_to_error.segment);
    -- raises what is no error
    chars constant text := mart.path_chars(paths_to_error.error, 'error');
    nodes constant integer := mart.path_steps('steps', paths_to_error.steps) + 1;
begin
    if paths_to_error.top_k < 1 then
        raise exception 'top_k must be at least 1, not %', paths_to_error.top_k using errcode = '22023';
    end if;
    return query
    -- a blank stands before the first node
    with met as materialized (
        select right(' ' || left(a.path, a.step_no), nodes) as way, count(*) as sessions
        from mart.session_anchored(
            chars, paths_to_error.error, 'first', paths_to_error.from_date, paths_to_error.to_date,
            agents, customers
        ) as a
        group by 1
    ),

    walked as materialized (
        select s.path, count(*) as sessions
        from mart.session_selected(paths_to_error.from_date, paths_to_error.to_date, agents, customers) as s
        group by 1
    ),

    -- once for each path, however often it takes the way; looked for only where the error has been met
    taken as materialized (
        select distinct w.path, w.sessions, m.way
        from (select string_agg(distinct right(m.way, 1), '') as places from met as m) as p
        inner join walked as w on w.path ~ ('[' || p.places || ']')
        cross join lateral generate_series(1, length(w.path)) as g (step_no)
        inner join met as m on m.way = right(' ' || left(w.path, g.step_no), nodes)
        where strpos(p.places, substr(w.path, g.step_no, 1)) > 0
    ),

    ranked as (
        select
            r.way,
            r.sessions,
            case when r.is_enough and r.place <= coalesce(paths_to_error.top_k, r.place) then r.way end as named
        from (
            select
                m.way,
                m.sessions,
                t.is_enough,
                row_number() over (order by t.is_enough desc, m.sessions / t.sessions desc, m.sessions desc, m.way) as place
            from met as m
            inner join (
                select k.way, sum(k.sessions) as sessions, sum(k.sessions) >= paths_to_error.least_sessions as is_enough
                from taken as k
                group by 1
            ) as t on t.way = m.way
        ) as r
    ),

    counted as (
        select e.named, e.sessions, a.sessions as all_sessions
        from (select r.named, sum(r.sessions) as sessions from ranked as r group by 1) as e
        inner join (
            select k.named, sum(k.sessions) as sessions
            from (
                select distinct t.path, t.sessions, r.named
                from taken as t
                inner join ranked as r on r.way = t.way
            ) as k
            group by 1
        ) as a on a.named is not distinct from e.named
    ),

    shared as (
        select
            c.*,
            (c.sessions / sum(c.sessions) over ())::double precision as share,
            (c.all_sessions / (select sum(w.sessions) from walked as w))::double precision as share_of_all
        from counted as c
    )

    select
        case
            when s.named is null then '기타'
            else (
                select string_agg(coalesce(n.node, '유입'), ' > ' order by c.step_no)
                from string_to_table(s.named, null) with ordinality as c (node_char, step_no)
                left join raw.node as n on n.node_id = raw.char_node(nullif(c.node_char, ' '))
            )
        end,
        s.sessions::bigint,
        s.share,
        s.all_sessions::bigint,
        s.share_of_all,
        (s.sessions / s.all_sessions)::double precision,
        s.share / s.share_of_all
    from shared as s
    order by s.named is null, s.share / s.share_of_all desc, s.sessions desc, s.named;
end
$$;
revoke execute on function mart.paths_to_error(
    text, integer, integer, integer, date, date, text, text, text, text
) from public;
grant execute on function mart.paths_to_error(
    text, integer, integer, integer, date, date, text, text, text, text
) to jm_dashboard;
