-- A month is its days: by channel and step, those who go on and those who leave. Compared is what changes of both.
with day as (
    select
        date_trunc('month', session_date)::date as path_month,
        channel,
        step_no,
        sum(sessions) as sessions,
        coalesce(sum(sessions) filter (where to_node = '이탈'), 0) as exits
    from (
        select
            session_date,
            channel,
            step_no,
            to_node,
            sessions
        from build.path_edge
        where sessions > 0
        union all
        select
            session_date,
            channel,
            step_no,
            to_node,
            -sessions as sessions
        from build.path_edge_before
    ) as signed
    group by date_trunc('month', session_date)::date, channel, step_no
),

month as (
    select
        path_month,
        channel,
        step_no,
        sum(sessions) as sessions,
        coalesce(sum(sessions) filter (where to_node = '이탈'), 0) as exits
    from (
        select
            path_month,
            channel,
            step_no,
            to_node,
            sessions
        from build.path_month
        where sessions > 0
        union all
        select
            path_month,
            channel,
            step_no,
            to_node,
            -sessions as sessions
        from build.path_month_before
    ) as signed
    group by path_month, channel, step_no
)

select
    coalesce(d.path_month, m.path_month) as path_month,
    coalesce(d.channel, m.channel) as channel,
    coalesce(d.step_no, m.step_no) as step_no,
    d.sessions as sessions_of_days,
    m.sessions,
    d.exits as exits_of_days,
    m.exits
from day as d
full join month as m on d.path_month = m.path_month and d.channel = m.channel and d.step_no = m.step_no
where (coalesce(d.sessions, 0), coalesce(d.exits, 0)) <> (coalesce(m.sessions, 0), coalesce(m.exits, 0))
order by path_month, channel, step_no
