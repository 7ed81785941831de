{{ config(materialized='mart_view', published_in='export', contract_version=1) }}
-- Consent is looked at again whenever this is read: it may have ended since the export.
select
    m.export_id,
    m.customer_id,
    m.op,
    m.row_hash,
    m.as_of,
    m.attributes
from {{ ref('audience_member') }} as m
inner join {{ ref('definition') }} as p
    on p.kind = 'audiences' and m.export_id = p.definition_id
inner join {{ source('config', 'definition') }} as d
    on p.kind = d.kind and p.definition_id = d.definition_id and p.version = d.version
where
    not m.is_held_out
    and exists (
        select from {{ ref('consent') }} as c
        cross join {{ ref('watermark') }} as w
        where
            c.customer_key = m.customer_key
            and c.purpose = d.content ->> 'purpose'
            and c.is_granted
            and c.valid_from <= greatest(w.watermark_at, now())
            and c.valid_to > greatest(w.watermark_at, now())
    )
