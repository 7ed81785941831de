{{ config(materialized='mart_view') }}
-- Reasons show the value between quotes; here it is left out: equal mistakes count together, and nobody is named.
with rejected as (
    select
        q.file_id,
        q.source,
        coalesce(q.field, '-') as field,
        regexp_replace(q.reason, '''.*''', '…') as reason
    from {{ source('raw', 'quarantine') }} as q
)

select
    r.source,
    f.loaded_at::date as landed_date,
    r.field,
    r.reason,
    case
        when r.reason like '% is missing.' then 'missing'
        when r.reason ~ 'UTF-8|NUL|encod|EUC-KR|CP949' then 'encoding'
        when r.field = '-' or r.reason ~ 'cannot be stored as JSON' then 'syntax'
        when r.reason ~ ' is not one of | is before | is longer than | has more than ' then 'value'
        else 'type'
    end as kind,
    count(*) as lines,
    count(distinct r.file_id)::integer as files
from rejected as r
inner join {{ source('raw', 'file') }} as f on r.file_id = f.file_id
where f.status = 'loaded'
group by 1, 2, 3, 4, 5
