{{ config(materialized='mart_view') }}
-- Who is dormant is known in advance; it is shown once that period has begun.
select
    c.cohort_id,
    c.version,
    n.period_start,
    n.status,
    n.persons,
    n.period_start < raw.period_start(c.period, {{ business_date('w.watermark_at') }}) as is_complete
from {{ ref('cohort') }} as c
cross join {{ ref('watermark') }} as w
inner join {{ ref('lifecycle_count') }} as n
    on c.cohort_id = n.cohort_id and c.version = n.version and n.period_start <= {{ business_date('w.watermark_at') }}
