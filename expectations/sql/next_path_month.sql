-- The months of the dates that change: step 1 of their paths has all their sessions, step n+1 those of step n without
-- its exits.
with scope as (select * from {batch}),

month as (
    select distinct date_trunc('month', session_date)::date as path_month
    from scope
),

policy as (
    select least((content ->> 'path_depth')::integer, 500) as depth
    from config.definition
    where kind = 'sessions' and retired_at is null
),

step as (
    select
        path_month,
        channel,
        step_no,
        sum(sessions) as sessions,
        sum(sessions) filter (where to_node <> '이탈') as going_on
    from next.path_month
    where path_month = any(array(select path_month from month))
    group by path_month, channel, step_no
),

-- how many should be at a step: those of the days, and then those whom the step before lets go on
expected as (
    select
        date_trunc('month', d.session_date)::date as path_month,
        d.channel,
        1 as step_no,
        sum(d.sessions) as sessions
    from month as m
    inner join next.session_daily as d
        on m.path_month <= d.session_date and d.session_date < m.path_month + interval '1 month'
    group by date_trunc('month', d.session_date)::date, d.channel
    union all
    select
        path_month,
        channel,
        step_no + 1 as step_no,
        going_on as sessions
    from step
    where going_on > 0 and step_no < coalesce((select depth from policy), 2147483647)
)

select
    coalesce(x.path_month, s.path_month) as path_month,
    coalesce(x.channel, s.channel) as channel,
    coalesce(x.step_no, s.step_no) as step_no,
    x.sessions as sessions_expected,
    s.sessions
from expected as x
full join step as s on x.path_month = s.path_month and x.channel = s.channel and x.step_no = s.step_no
where
    x.sessions is distinct from s.sessions
    and coalesce(s.step_no <= (select depth from policy), true)
order by path_month, channel, step_no
