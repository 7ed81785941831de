{{ config(materialized='mart_view') }}
select
    c.cohort_id,
    c.version,
    s.cohort_start,
    a.age,
    s.started as size,
    coalesce(r.returned, 0) as returned,
    a.is_complete
from {{ ref('cohort') }} as c
cross join {{ ref('watermark') }} as w
inner join {{ ref('retention_count') }} as s
    on c.cohort_id = s.cohort_id and c.version = s.version and s.age = 0 and s.started > 0
cross join lateral raw.retention_age(
    c.mode,
    c.ages,
    c.brackets,
    raw.period_no(c.period, {{ business_date('w.watermark_at') }}) - raw.period_no(c.period, s.cohort_start)
) as a
left join lateral (
    select sum(n.returned)::bigint as returned
    from {{ ref('retention_count') }} as n
    where
        n.cohort_id = s.cohort_id
        and n.version = s.version
        and n.cohort_start = s.cohort_start
        and (n.age = a.age or (c.mode = 'unbounded' and n.age > a.age))
) as r on true
