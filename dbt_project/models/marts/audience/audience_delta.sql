{{ config(materialized='mart_view', published_in='export', contract_version=1) }}
select
    c.export_id,
    c.export_no,
    c.customer_id,
    c.op,
    c.row_hash,
    c.as_of,
    c.attributes
from {{ ref('audience_change') }} as c
where not c.is_held_out
