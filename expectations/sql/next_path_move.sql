-- The moves of a day are the nodes of its paths, as many times of stay as moves; the stays of a session run from its
-- first node to its last event.
with scope as (select * from {batch}),

session as (
    select
        session_date,
        sum(length(path)) as visits,
        count(*) as exits,
        sum(date_part('epoch', ended_at - path_times[1])) as seconds
    from next.session_fact
    where session_date = any(array(select session_date from scope))
    group by session_date
),

move as (
    select
        m.session_date,
        sum(m.visits) as visits,
        sum(m.visits) filter (where length(m.path) = 1) as exits,
        sum(cardinality(m.stays)) as stays,
        sum(t.seconds) as seconds
    from next.path_move as m
    cross join lateral (select sum(s.seconds) as seconds from unnest(m.stays) as s (seconds)) as t
    where m.session_date = any(array(select session_date from scope))
    group by m.session_date
)

select
    coalesce(s.session_date, m.session_date) as session_date,
    s.visits as visits_expected,
    m.visits,
    m.stays,
    s.exits as exits_expected,
    m.exits,
    s.seconds as seconds_expected,
    m.seconds
from session as s
full join move as m on s.session_date = m.session_date
where
    (s.visits, s.visits, s.exits) is distinct from (m.visits, m.stays, m.exits)
    -- floating point: a sum depends on its order
    or abs(s.seconds - m.seconds) > 0.001
order by session_date
