{{ config(
    key=['row_id'],
    replaces=[
        "exists (select from build.consultation as b where b.row_id = m.row_id)",
        "exists (select from build.line_duplicate as d where d.row_id = m.row_id)",
    ],
    indexes=[['customer_key', 'consulted_at']],
    refers={'customer_key': 'customer.customer_key'},
) }}
select
    s.row_id,
    s.consultation_id,
    s.customer_key,
    s.consulted_at,
    s.channel,
    s.category,
    s.result,
    s.agent_team
from {{ new_lines('consultations') }} as s
where not exists (select from {{ computed('line_duplicate') }} as d where d.row_id = s.row_id)
