{{ config(materialized='mart_view') }}
-- An answer belongs to the last hit of its rule and person before it. What answers no rule belongs to no department and
-- is seen by those who see all of them.
select
    s.response_id,
    s.responded_at,
    s.rule_id,
    coalesce(n.label_ko, s.rule_id, '규칙 없음') as rule_name,
    c.customer_id,
    v.visitor_id,
    s.answers,
    h.detected_at,
    h.row_id,
    h.trigger_id,
    h.message_id,
    h.message_version
from {{ ref('survey_response') }} as s
left join {{ ref('definition') }} as n on s.rule_id = n.definition_id and n.kind = 'rules'
left join {{ source('raw', 'customer') }} as c on s.customer_key = c.customer_key
left join {{ source('raw', 'visitor') }} as v on s.visitor_key = v.visitor_key
left join lateral (
    select
        d.detected_at,
        d.row_id,
        t.trigger_id,
        t.message_id,
        (
            select a.message_version from {{ source('export', 'ack') }} as a
            where a.trigger_id = t.trigger_id
            order by a.ack_id
            limit 1
        ) as message_version
    from {{ ref('detection') }} as d
    left join {{ ref('trigger') }} as t
        on d.rule_id = t.rule_id and d.subject_key = t.subject_key and d.detected_at = t.created_at
    where
        d.rule_id = s.rule_id
        and d.subject_key in (s.customer_key, -s.visitor_key)
        and d.detected_at <= s.responded_at
    order by d.detected_at desc, d.row_id desc
    limit 1
) as h on true
where raw.may_see_rows(n.owner)
