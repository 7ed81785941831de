-- Each step of the day's paths carries the sessions that get that far, and lets go those that end there:
-- step 1 all sessions, step n+1 those of step n without its exits. Compared is what changes of both.
with scope as (select * from {sessions}),

policy as (
    select least((content ->> 'path_depth')::integer, 500) as depth
    from config.definition
    where kind = 'sessions' and retired_at is null
),

session as (
    select
        session_date,
        length(path) as nodes,
        sum(sign) as sessions
    from scope
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
    from (
        select
            session_date,
            step_no,
            to_node,
            sessions
        from build.path_edge
        where sessions > 0
        union all
        select
            session_date,
            step_no,
            to_node,
            -sessions as sessions
        from build.path_edge_before
    ) as signed
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
where
    (coalesce(x.sessions, 0), coalesce(x.exits, 0)) is distinct from (coalesce(e.sessions, 0), coalesce(e.exits, 0))
order by session_date, step_no
