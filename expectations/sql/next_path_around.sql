-- The months of the dates that change: all four steps around a node have the same sessions, no more than it has visits
-- and none where it has none; those that come from outside right before it are, all together, the sessions.
with scope as (select * from {batch}),

month as (
    select distinct date_trunc('month', session_date)::date as path_month
    from scope
),

visit as (
    select
        date_trunc('month', v.session_date)::date as path_month,
        v.channel,
        v.node_id,
        sum(v.visits) as visits
    from month as m
    inner join next.path_move as v
        on m.path_month <= v.session_date and v.session_date < m.path_month + interval '1 month'
    group by date_trunc('month', v.session_date)::date, v.channel, v.node_id
),

step as (
    select
        path_month,
        channel,
        node_id,
        sum(sessions) as sessions,
        coalesce(sum(sessions) filter (where step = -1 and path like ' %'), 0) as beginning
    from next.path_around
    where path_month = any(array(select path_month from month))
    group by path_month, channel, node_id, step
),

node as (
    select
        path_month,
        channel,
        node_id,
        count(*) = 4 and min(sessions) = max(sessions) as is_even,
        max(sessions) as sessions,
        sum(beginning) as beginning
    from step
    group by path_month, channel, node_id
),

around as (
    select
        coalesce(n.path_month, v.path_month) as path_month,
        coalesce(n.channel, v.channel) as channel,
        bool_and(coalesce(n.is_even and n.sessions <= v.visits, false)) as is_even,
        sum(n.beginning) as sessions
    from node as n
    full join visit as v on n.path_month = v.path_month and n.channel = v.channel and n.node_id = v.node_id
    group by coalesce(n.path_month, v.path_month), coalesce(n.channel, v.channel)
),

expected as (
    select
        date_trunc('month', d.session_date)::date as path_month,
        d.channel,
        sum(d.sessions) as sessions
    from month as m
    inner join next.session_daily as d
        on m.path_month <= d.session_date and d.session_date < m.path_month + interval '1 month'
    group by date_trunc('month', d.session_date)::date, d.channel
)

select
    coalesce(x.path_month, a.path_month) as path_month,
    coalesce(x.channel, a.channel) as channel,
    x.sessions as sessions_expected,
    a.sessions,
    a.is_even
from expected as x
full join around as a on x.path_month = a.path_month and x.channel = a.channel
where x.sessions is distinct from a.sessions or not a.is_even
order by path_month, channel
