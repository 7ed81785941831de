-- Every session of the day is counted under exactly one path: paths change by as many as sessions do.
with scope as (select * from {sessions}),

session as (
    select
        session_date,
        sum(sign) as sessions
    from scope
    group by session_date
),

path as (
    select
        session_date,
        sum(sessions) as sessions
    from (
        select
            session_date,
            sessions
        from build.path_count
        where sessions > 0
        union all
        select
            session_date,
            -sessions as sessions
        from build.path_count_before
    ) as p
    group by session_date
)

select
    coalesce(s.session_date, p.session_date) as session_date,
    s.sessions,
    p.sessions as sessions_of_paths
from session as s
full join path as p on s.session_date = p.session_date
where coalesce(s.sessions, 0) <> coalesce(p.sessions, 0)
