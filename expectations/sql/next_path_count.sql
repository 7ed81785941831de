-- Every session of the day is counted under exactly one path.
with scope as (select * from {batch}),

session as (
    select
        session_date,
        count(*) as sessions
    from next.session_fact
    where session_date = any(array(select session_date from scope))
    group by session_date
),

path as (
    select
        session_date,
        sum(sessions) as sessions
    from next.path_count
    where session_date = any(array(select session_date from scope))
    group by session_date
)

select
    coalesce(s.session_date, p.session_date) as session_date,
    s.sessions,
    p.sessions as sessions_of_paths
from session as s
full join path as p on s.session_date = p.session_date
where s.sessions is distinct from p.sessions
