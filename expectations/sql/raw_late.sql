-- A source that is expected every so often has brought something that is not older than that, seen from the newest
-- event of all sources. One that has never brought anything is late, too.
with scope as (select * from {batch}),

expected as (
    select
        e.key as source,
        make_interval(secs => e.value::float8) as every
    from config.definition as d
    cross join jsonb_each_text(d.content) as e
    where d.kind = 'sources' and d.definition_id = 'expect_every' and d.retired_at is null
),

latest as (
    select
        source,
        max(coalesce(last_event_at, loaded_at)) as latest_at
    from raw.file
    where status = 'loaded'
    group by source
)

select
    e.source,
    e.every,
    l.latest_at,
    w.newest_at
from expected as e
left join latest as l on e.source = l.source
cross join (select max(last_event_at) as newest_at from raw.file where status = 'loaded') as w
where exists (select from scope) and (l.latest_at is null or l.latest_at < w.newest_at - e.every)
