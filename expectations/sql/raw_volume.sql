-- Lines per source and day are within a quarter and four times the median of the four weeks before. Looked at are the
-- days that this run's files have lines of and the days before them, except a source's latest day, which may still be
-- filling. Of a few lines a day, chance alone makes one day four times another; and a day without lines is none to be
-- missed of a source that has none on every fourth day or more often, as at weekends.
with scope as (select * from {batch}),

judged as (
    select distinct
        s.source,
        d.happened_on - back.days as day
    from scope as s
    inner join raw.file_day as d on s.file_id = d.file_id
    cross join generate_series(0, 1) as back (days)
),

daily as (
    select
        f.source,
        d.happened_on as day,
        sum(d.rows_loaded) as lines
    from raw.file_day as d
    inner join raw.file as f on d.file_id = f.file_id
    where f.status = 'loaded' and d.happened_on >= (select min(j.day) from judged as j) - 28
    group by f.source, d.happened_on
),

latest as (
    select
        source,
        max(day) as day
    from daily
    group by source
),

compared as (
    select
        j.source,
        j.day,
        coalesce(d.lines, 0) as lines,
        h.days,
        h.usual_lines,
        h.days >= 0.75 * (j.day - h.first_day) as is_daily
    from judged as j
    inner join latest as l on j.source = l.source and j.day < l.day
    left join daily as d on j.source = d.source and j.day = d.day
    cross join lateral (
        select
            count(*) as days,
            min(b.day) as first_day,
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
where
    days >= 7
    and usual_lines >= 20
    and (lines < usual_lines / 4 or lines > usual_lines * 4)
    and (lines > 0 or is_daily)
