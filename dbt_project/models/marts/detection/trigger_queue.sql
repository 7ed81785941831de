{{ config(materialized='mart_view', published_in='export', contract_version=1) }}
-- What is still to be shown, in its present wording: not expired by the watermark, not answered, still with consent,
-- and to nobody who has been shown as much as its rule allows, or messages.yml whatever the rules. What has been shown
-- counts even if the trigger is gone since, with its rule or its hit.
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
    m.version as message_version
from {{ ref('trigger') }} as t
left join {{ ref('definition') }} as m on m.kind = 'messages' and t.message_id = m.definition_id
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
        from (
            select
                a.trigger_id,
                a.rule_id,
                a.acked_at
            from (
                select o.trigger_id
                from {{ ref('trigger') }} as o
                where o.customer_id = t.customer_id
                union all
                select o.trigger_id
                from {{ ref('trigger') }} as o
                where t.customer_id is null and o.visitor_id = t.visitor_id
                union all
                select g.trigger_id
                from {{ source('export', 'ack') }} as g
                where
                    g.subject_key = t.subject_key
                    and not exists (select from {{ ref('trigger') }} as o where o.trigger_id = g.trigger_id)
            ) as h
            inner join {{ source('export', 'ack') }} as a on h.trigger_id = a.trigger_id
            where a.status in ('shown', 'clicked', 'closed')
        ) as s
        cross join lateral (
            select
                p.kind,
                case p.kind when 'rules' then d.content -> 'action' else d.content end as cap
            from {{ ref('definition') }} as p
            inner join {{ source('config', 'definition') }} as d
                on p.kind = d.kind and p.definition_id = d.definition_id and p.version = d.version
            where
                p.kind = 'contacts'
                or (p.kind = 'rules' and p.definition_id = t.rule_id and s.rule_id = t.rule_id)
            -- a fence: otherwise the caps are looked up for everybody, and first, though few have been shown anything
            offset 0
        ) as c
        cross join {{ ref('watermark') }} as w
        where s.acked_at > w.watermark_at - make_interval(secs => (c.cap ->> 'cap_seconds')::double precision)
        group by c.kind, c.cap ->> 'cap_times'
        having count(distinct s.trigger_id) >= (c.cap ->> 'cap_times')::integer
    )
