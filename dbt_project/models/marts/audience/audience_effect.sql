{{ config(materialized='mart_view') }}
-- Everybody counts from when they first came into the audience, and stays in the group of that moment.
with person as (
    select distinct on (c.export_id, c.customer_key)
        c.export_id,
        c.customer_key,
        c.customer_id,
        c.is_held_out,
        c.as_of
    from {{ ref('audience_change') }} as c
    where c.op = 'I'
    order by c.export_id asc, c.customer_key asc, c.export_no asc
),

followed as (
    select
        p.export_id,
        d.version,
        l.label_ko as audience_name,
        l.label_en as audience_name_en,
        l.owner,
        p.is_held_out,
        g.until_at,
        exists(
            select from {{ source('export', 'ack') }} as a
            where a.export_id = p.export_id and a.row_key = p.customer_id
        ) as is_acknowledged,
        exists(
            select from {{ ref('campaign_send') }} as s
            where
                s.customer_key = p.customer_key
                and s.sent_at >= p.as_of
                and (d.content -> 'campaigns' = '[]' or d.content -> 'campaigns' ? s.campaign_id)
        ) or exists(
            select from {{ source('export', 'ack') }} as a
            where
                a.export_id = p.export_id
                and a.row_key = p.customer_id
                and a.status in ('sent', 'shown', 'clicked')
        ) as is_sent,
        exists(
            select from {{ ref('session_fact') }} as n
            where n.customer_key = p.customer_key and n.started_at > p.as_of
        ) as has_returned,
        case
            when d.content ->> 'goal' is not null then exists(
                select from {{ ref('step_match') }} as m
                where
                    m.person_key = p.customer_key
                    and m.condition_id = d.content #>> '{goal,condition_id}'
                    and m.matched_at > p.as_of
                    and m.matched_at <= g.until_at
            )
        end as is_converted
    from person as p
    inner join {{ ref('definition') }} as l
        on l.kind = 'audiences' and p.export_id = l.definition_id
    inner join {{ source('config', 'definition') }} as d
        on l.kind = d.kind and l.definition_id = d.definition_id and l.version = d.version
    cross join lateral (
        select p.as_of + make_interval(secs => (d.content #>> '{goal,within_seconds}')::double precision) as until_at
    ) as g
    where raw.may_see_rows(l.owner)
)

select
    f.export_id,
    f.version,
    f.audience_name,
    f.audience_name_en,
    f.owner,
    f.is_held_out,
    count(*) as customers,
    count(*) filter (where f.is_acknowledged) as acknowledged,
    count(*) filter (where f.is_sent) as sent,
    count(*) filter (where f.has_returned) as returned,
    sum(f.is_converted::integer) as converted,
    sum((not f.is_converted and f.until_at > w.watermark_at)::integer) as still_open,
    sum(f.is_converted::integer)::double precision / count(*) as conversion_ratio
from followed as f
cross join {{ ref('watermark') }} as w
group by f.export_id, f.version, f.audience_name, f.audience_name_en, f.owner, f.is_held_out
