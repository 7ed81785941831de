-- Each step of the day's paths carries the sessions that get that far, and lets go those that end there:
-- step 1 all sessions, step n+1 those of step n without its exits.
with scope as (select * from {batch}),

policy as (
    select (content ->> 'path_depth')::integer as depth
    from config.definition
    where kind = 'sessions' and retired_at is null
),

session as (
    select
        session_date,
        length(path) as nodes,
        count(*) as sessions
    from next.session_fact
    where session_date = any(array(select session_date from scope))
    group by session_date, nodes
),

expected as (
    select
        s.session_date,
        g.step_no,
        sum(s.sessions) as sessions,
        sum(s.sessions) filter (where s.nodes = g.step_no) as exits
    from session as s
    cross join lateral generate_series(1, least(s.nodes, (select depth from policy))) as g (step_no)
    group by s.session_date, g.step_no
),

edge as (
    select
        session_date,
        step_no,
        sum(sessions) as sessions,
        sum(sessions) filter (where to_node = '이탈') as exits
    from next.path_edge
    where session_date = any(array(select session_date from scope))
    group by session_date, step_no
)

select
    coalesce(x.session_date, e.session_date) as session_date,
    coalesce(x.step_no, e.step_no) as step_no,
    x.sessions as sessions_expected,
    e.sessions as sessions_of_edges,
    x.exits as exits_expected,
    e.exits as exits_of_edges
from expected as x
full join edge as e on x.session_date = e.session_date and x.step_no = e.step_no
where (x.sessions, coalesce(x.exits, 0)) is distinct from (e.sessions, coalesce(e.exits, 0))
order by session_date, step_no
