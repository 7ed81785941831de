{{ config(
    key=['rule_id', 'subject_key'],
    replaces=[
        "exists (
            select from build.int_detection__subject as s
            where
                s.rule_id = m.rule_id and s.subject_key = m.subject_key
                and m.due_at >= s.from_at and m.due_at <= s.until_at
        )",
        is_of_retired('rules', 'rule_id'),
    ],
) }}
select
    h.rule_id,
    r.version,
    h.subject_key,
    min(h.detected_at) as due_at
from {{ ref('int_detection__hit') }} as h
inner join {{ ref('int_detection__rule') }} as r on h.rule_id = r.rule_id
where h.status = 'open'
group by h.rule_id, r.version, h.subject_key
