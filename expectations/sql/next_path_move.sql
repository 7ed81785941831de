-- The moves of a day are the nodes of its paths, as many times of stay as moves; the stays of a session run from its
-- first node to its last event, or its last transaction after that. Compared is what changes of both.
with scope as (select * from {sessions}),

session as (
    select
        session_date,
        sum(sign * length(path)) as visits,
        sum(sign) as exits,
        sum(sign * date_part('epoch', greatest(ended_at, path_times[length(path)]) - path_times[1])) as seconds
    from scope
    group by session_date
),

move as (
    select
        m.session_date,
        sum(m.sign * m.visits) as visits,
        coalesce(sum(m.sign * m.visits) filter (where length(m.path) = 1), 0) as exits,
        sum(m.sign * cardinality(m.stays)) as stays,
        sum(m.sign * t.seconds) as seconds
    from (
        select
            1 as sign,
            b.*
        from build.path_move as b
        where b.visits > 0
        union all
        select
            -1 as sign,
            b.*
        from build.path_move_before as b
    ) as m
    cross join lateral (select sum(s.seconds) as seconds from unnest(m.stays) as s (seconds)) as t
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
    -- of a day whose sessions only change hands no move changes
    (coalesce(s.visits, 0), coalesce(s.visits, 0), coalesce(s.exits, 0))
    <> (coalesce(m.visits, 0), coalesce(m.stays, 0), coalesce(m.exits, 0))
    -- floating point: a sum depends on its order
    or abs(coalesce(s.seconds, 0) - coalesce(m.seconds, 0)) > 0.001
order by session_date
