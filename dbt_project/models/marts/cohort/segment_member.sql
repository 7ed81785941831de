{{ config(materialized='mart_view') }}
-- Until when somebody will belong if nothing else happens is known in advance; it is shown once it has come.
select
    v.segment_id,
    v.version,
    c.customer_id,
    v.valid_from,
    case when v.valid_to <= w.watermark_at then v.valid_to end as valid_to,
    v.customer_key
from {{ ref('segment_validity') }} as v
cross join {{ ref('watermark') }} as w
inner join {{ source('raw', 'customer') }} as c on v.customer_key = c.customer_key
where v.valid_from <= w.watermark_at
