{{ config(materialized='mart_view') }}
-- What the person did next, on whichever of their devices: the first page opened or transaction made after the hit,
-- within a day. A device may be of several: what somebody else does on it is not theirs. Until the day is over by the
-- watermark, who has done nothing has not done it yet: their next is null. At the moment of a hit that an event fires,
-- the order of events says what comes after it, as for its goal; else all that happens then comes before.
select
    d.rule_id,
    n.label_ko as rule_name,
    d.detection_date,
    coalesce(e.node, u.nothing) as next_node,
    coalesce(e.label, u.nothing) as next_name,
    count(*) as hits
from {{ ref('detection') }} as d
cross join lateral (
    select case when d.detected_at + interval '1 day' < w.watermark_at then '이탈' end as nothing
    from {{ ref('watermark') }} as w
) as u
cross join lateral (
    select case d.kind
        when 'sequence' then array_position(
            array['screen', 'transaction', 'consultation', 'campaign', 'subscription', 'survey'],
            d.evidence -> -1 ->> 'source'
        ) - 1
        else 32767
    end as hit_rank
) as p
inner join {{ ref('definition') }} as n on d.rule_id = n.definition_id and n.kind = 'rules'
left join lateral (
    select
        a.node,
        a.label
    from (
        (
            select
                e.event_at as happened_at,
                0 as source_rank,
                e.row_id,
                e.node_id
            from (
                select distinct l.visitor_key
                from {{ ref('device_login') }} as l
                where l.customer_key = d.subject_key
                union all
                select -d.subject_key as visitor_key
                where d.subject_key < 0
            ) as v
            cross join lateral (
                select
                    o.event_at,
                    o.row_id,
                    o.node_id
                from {{ ref('session_event') }} as o
                inner join {{ ref('session_fact') }} as s
                    on o.visitor_key = s.visitor_key and o.started_at = s.started_at
                where
                    o.visitor_key = v.visitor_key
                    and o.event_at >= d.detected_at
                    and o.event_at <= d.detected_at + interval '1 day'
                    and row(o.event_at, 0, o.row_id) > row(d.detected_at, p.hit_rank, d.row_id)
                    and o.action_id = 1
                    and coalesce(s.customer_key, o.customer_key, -o.visitor_key) = d.subject_key
                order by o.event_at, o.row_id
                limit 1
            ) as e
        )
        union all
        (
            select
                t.transacted_at as happened_at,
                1 as source_rank,
                t.row_id,
                t.node_id
            from {{ ref('transaction_fact') }} as t
            where
                t.customer_key = d.subject_key
                and t.transacted_at >= d.detected_at
                and t.transacted_at <= d.detected_at + interval '1 day'
                and row(t.transacted_at, 1, t.row_id) > row(d.detected_at, p.hit_rank, d.row_id)
            order by t.transacted_at, t.row_id
            limit 1
        )
    ) as f
    inner join {{ ref('node') }} as a on f.node_id = a.node_id
    order by f.happened_at, f.source_rank, f.row_id
    limit 1
) as e on true
where raw.may_see_rows(n.owner)
group by d.rule_id, n.label_ko, d.detection_date, e.node, e.label, u.nothing
