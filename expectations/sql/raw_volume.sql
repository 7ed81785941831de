-- Lines per source and day are within a quarter and four times the median of the four weeks before. Looked at are the
-- days of this run's files and the day before them, except a source's latest day, which may still be filling.
-- Files that span more than a day and a half are first loads or corrections, not a day's delivery.
with scope as (select * from {batch}),

policy as (
    select content ->> 'time_zone' as time_zone
    from config.definition
    where kind = 'sessions' and retired_at is null
),

daily as (
    select
        f.source,
        (f.last_event_at at time zone p.time_zone)::date as day,
        sum(f.rows_loaded) as lines
    from raw.file as f
    cross join policy as p
    where
        f.status = 'loaded'
        and f.last_event_at >= (select min(last_event_at) from scope) - interval '30 days'
        and f.last_event_at - f.first_event_at < interval '36 hours'
    group by f.source, day
),

latest as (
    select
        source,
        max(day) as day
    from daily
    group by source
),

judged as (
    select distinct
        s.source,
        (s.last_event_at at time zone p.time_zone)::date - back.days as day
    from scope as s
    cross join policy as p
    cross join generate_series(0, 1) as back (days)
),

compared as (
    select
        j.source,
        j.day,
        coalesce(d.lines, 0) as lines,
        h.days,
        h.usual_lines
    from judged as j
    inner join latest as l on j.source = l.source and j.day < l.day
    left join daily as d on j.source = d.source and j.day = d.day
    cross join lateral (
        select
            count(*) as days,
            percentile_cont(0.5) within group (order by b.lines) as usual_lines
        from daily as b
        where b.source = j.source and b.day between j.day - 28 and j.day - 1
    ) as h
)

select
    source,
    day,
    lines,
    usual_lines,
    days as days_of_history
from compared
where days >= 7 and (lines < usual_lines / 4 or lines > usual_lines * 4)
