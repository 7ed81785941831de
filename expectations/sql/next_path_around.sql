-- All four steps around a node change by the same sessions, and those that come from outside right before it by as many
-- as there are sessions, all together. How many that are of a node is counted again from the sessions that change. In a
-- full run, where that is all of them, it is compared with the moves instead: no more sessions than visits.
with scope as (select * from {sessions}),

node as (
    select
        path_month,
        channel,
        node_id,
        min(sessions) = max(sessions) and (count(*) = 4 or max(sessions) = 0) as is_even,
        max(sessions) as sessions,
        sum(beginning) as beginning
    from (
        select
            path_month,
            channel,
            node_id,
            sum(sessions) as sessions,
            coalesce(sum(sessions) filter (where step = -1 and path like ' %'), 0) as beginning
        from (
            select
                path_month,
                channel,
                node_id,
                step,
                path,
                sessions
            from build.path_around
            where sessions > 0
            union all
            select
                path_month,
                channel,
                node_id,
                step,
                path,
                -sessions as sessions
            from build.path_around_before
        ) as signed
        group by path_month, channel, node_id, step
    ) as step
    group by path_month, channel, node_id
),

visit as (
    select
        date_trunc('month', s.session_date)::date as path_month,
        raw.char_node(c.node) as node_id,
        sum(s.sign) as visits
    from scope as s
    cross join lateral (
        select distinct substr(s.path, g.step_no, 1) as node
        from generate_series(1, length(s.path)) as g (step_no)
    ) as c
    where not (select is_full from build.run_scope)
    group by date_trunc('month', s.session_date)::date, c.node
    union all
    select
        date_trunc('month', session_date)::date as path_month,
        node_id,
        sum(visits) as visits
    from build.path_move
    where (select is_full from build.run_scope)
    group by date_trunc('month', session_date)::date, node_id
),

daily as (
    select
        date_trunc('month', session_date)::date as path_month,
        channel,
        sum(sessions) as sessions
    from (
        select
            session_date,
            channel,
            sessions
        from build.session_daily
        union all
        select
            session_date,
            channel,
            -sessions as sessions
        from build.session_daily_before
    ) as signed
    group by date_trunc('month', session_date)::date, channel
)

select
    path_month,
    channel,
    node_id,
    'steps' as compared,
    null::numeric as expected,
    sessions
from node
where not is_even
union all
select
    coalesce(d.path_month, n.path_month) as path_month,
    coalesce(d.channel, n.channel) as channel,
    null as node_id,
    'sessions' as compared,
    d.sessions as expected,
    n.sessions
from daily as d
full join (
    select
        path_month,
        channel,
        sum(beginning) as sessions
    from node
    group by path_month, channel
) as n on d.path_month = n.path_month and d.channel = n.channel
where coalesce(d.sessions, 0) <> coalesce(n.sessions, 0)
union all
select
    coalesce(v.path_month, n.path_month) as path_month,
    null as channel,
    coalesce(v.node_id, n.node_id) as node_id,
    'visits' as compared,
    v.visits as expected,
    n.sessions
from visit as v
full join (
    select
        path_month,
        node_id,
        sum(sessions) as sessions
    from node
    group by path_month, node_id
) as n on v.path_month = n.path_month and v.node_id = n.node_id
where
    case
        when (select is_full from build.run_scope)
            then coalesce(n.sessions, 0) > coalesce(v.visits, 0) or (n.sessions is null and v.visits > 0)
        else coalesce(v.visits, 0) <> coalesce(n.sessions, 0)
    end
order by path_month, channel, node_id
