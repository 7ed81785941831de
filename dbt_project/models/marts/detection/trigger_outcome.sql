{{ config(materialized='mart_view') }}
-- Channels say in export.ack what they took; that they asked is in the access log, without what they were given.
with answer as (
    select
        a.trigger_id,
        bool_or(a.status in ('shown', 'clicked', 'closed')) as is_shown,
        bool_or(a.status = 'clicked') as is_clicked
    from {{ source('export', 'ack') }} as a
    where a.trigger_id is not null
    group by a.trigger_id
)

select
    t.rule_id,
    n.owner,
    t.version,
    t.action,
    t.message_id,
    {{ business_date('t.created_at') }} as created_date,
    a.trigger_id is not null as is_answered,
    coalesce(a.is_shown, false) as is_shown,
    coalesce(a.is_clicked, false) as is_clicked,
    a.trigger_id is null and t.expires_at <= w.watermark_at as is_expired
from {{ ref('trigger') }} as t
cross join {{ ref('watermark') }} as w
inner join {{ ref('definition') }} as n on t.rule_id = n.definition_id and n.kind = 'rules'
left join answer as a on t.trigger_id = a.trigger_id
where raw.may_see_rows(n.owner)
