{{ config(materialized='mart_view', published_in='export') }}
-- What is still to be shown: not expired by the watermark, not answered, and still with consent.
select
    t.trigger_id,
    t.rule_id,
    t.customer_id,
    t.visitor_id,
    t.action,
    t.message_id,
    t.target_url,
    t.created_at,
    t.expires_at,
    t.dedupe_key,
    t.show_from,
    t.message_version
from {{ ref('trigger') }} as t
where
    t.expires_at > (select max(p.watermark_at) from {{ source('ops', 'publication') }} as p)
    and not exists (select from {{ source('export', 'ack') }} as a where a.trigger_id = t.trigger_id)
    and (
        t.purpose is null
        or exists (
            select from {{ ref('consent') }} as c
            where
                c.customer_key = t.subject_key
                and c.purpose = t.purpose
                and c.is_granted
                and c.valid_to = timestamptz '9999-12-31 00:00:00+00'
        )
    )
