{{ config(materialized='mart_view', published_in='export', contract_version=1) }}
-- What is still to be shown: not expired by the watermark, not answered, still with consent, and to nobody who has been
-- shown as much as messages.yml allows, whatever the rules.
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
    t.expires_at > (select w.watermark_at from {{ ref('watermark') }} as w)
    and not exists (select from {{ source('export', 'ack') }} as a where a.trigger_id = t.trigger_id)
    and (
        t.purpose is null
        or exists (
            select from {{ ref('consent') }} as c
            cross join {{ ref('watermark') }} as w
            where
                c.customer_key = t.subject_key
                and c.purpose = t.purpose
                and c.is_granted
                and c.valid_from <= greatest(w.watermark_at, now())
                and c.valid_to > greatest(w.watermark_at, now())
        )
    )
    and not exists (
        select
        from {{ ref('definition') }} as p
        inner join {{ source('config', 'definition') }} as d
            on p.kind = d.kind and p.definition_id = d.definition_id and p.version = d.version
        cross join {{ ref('watermark') }} as w
        where
            p.kind = 'contacts'
            and (d.content ->> 'cap_times')::integer <= (
                select count(distinct s.trigger_id)
                from {{ ref('trigger') }} as o
                inner join {{ source('export', 'ack') }} as s on o.trigger_id = s.trigger_id
                where
                    (o.customer_id = t.customer_id or (t.customer_id is null and o.visitor_id = t.visitor_id))
                    and s.status in ('shown', 'clicked', 'closed')
                    and s.acked_at
                    > w.watermark_at - make_interval(secs => (d.content ->> 'cap_seconds')::double precision)
            )
    )
