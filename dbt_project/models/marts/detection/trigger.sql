{{ config(
    key=['trigger_id'],
    replaces=[
        "exists (
            select from build.int_detection__subject as s where s.rule_id = m.rule_id and s.subject_key = m.subject_key
        )",
        "exists (
            select from build.consent_before as c where c.customer_key = m.subject_key and c.purpose = m.purpose
        )",
        is_of_retired('rules', 'rule_id'),
    ],
    indexes=[['customer_id'], ['visitor_id'], ['expires_at'], ['rule_id', 'subject_key']],
) }}
-- depends_on: {{ ref('detection') }}
-- The same hit is the same trigger, however often it is computed and whoever turns out to have used the device: its id
-- follows from what completed it.
select
    md5(k.dedupe_key)::uuid as trigger_id,
    w.rule_id,
    w.version,
    w.subject_key,
    w.customer_id,
    w.visitor_id,
    w.action,
    w.message_id,
    w.target_url,
    w.purpose,
    w.detected_at as created_at,
    w.show_from,
    w.expires_at,
    k.dedupe_key
from build.trigger_cap('{{ ref("int_trigger__allowed") }}') as c
inner join {{ ref('int_trigger__allowed') }} as w
    on c.rule_id = w.rule_id and c.subject_key = w.subject_key and c.row_id = w.row_id
cross join lateral (
    select concat_ws(
        '|', w.rule_id, w.evidence -> -1 ->> 'source', w.evidence -> -1 ->> 'id'
    ) as dedupe_key
) as k
