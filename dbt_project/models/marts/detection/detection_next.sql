{{ config(materialized='mart_view') }}
-- What the person did next: the first page or transaction after the hit, within a day.
select
    d.rule_id,
    n.label_ko as rule_name,
    d.detection_date,
    coalesce(e.node, '이탈') as next_node,
    coalesce(e.label, '이탈') as next_name,
    count(*) as hits
from {{ ref('detection') }} as d
inner join {{ ref('definition') }} as n on d.rule_id = n.definition_id and n.kind = 'rules'
left join lateral (
    select
        a.node,
        a.label
    from (
        (
            select
                s.event_at as happened_at,
                s.node_id
            from {{ source('raw', 'visitor') }} as v
            inner join {{ ref('session_event') }} as s on v.visitor_key = s.visitor_key
            where
                v.visitor_id = d.visitor_id
                and s.event_at > d.detected_at
                and s.event_at <= d.detected_at + interval '1 day'
            order by s.event_at
            limit 1
        )
        union all
        (
            select
                t.transacted_at as happened_at,
                t.node_id
            from {{ ref('transaction_fact') }} as t
            where
                t.customer_key = d.subject_key
                and t.transacted_at > d.detected_at
                and t.transacted_at <= d.detected_at + interval '1 day'
            order by t.transacted_at
            limit 1
        )
    ) as f
    inner join {{ ref('node') }} as a on f.node_id = a.node_id
    order by f.happened_at
    limit 1
) as e on true
where raw.may_see_rows(n.owner)
group by d.rule_id, n.label_ko, d.detection_date, e.node, e.label
