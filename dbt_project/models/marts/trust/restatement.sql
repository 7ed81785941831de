{{ config(materialized='mart_view') }}
select
    r.business_date,
    r.measure,
    r.publication_id,
    p.published_at,
    r.value_before,
    r.value_after,
    r.causes
from {{ source('ops', 'restatement') }} as r
inner join {{ source('ops', 'publication') }} as p on r.publication_id = p.publication_id
