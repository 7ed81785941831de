{{ config(
    key=['row_id'],
    replaces=[
        "exists (select from build.survey_response as b where b.row_id = m.row_id)",
        "exists (select from build.line_duplicate as d where d.row_id = m.row_id)",
    ],
    indexes=[['customer_key', 'responded_at']],
    refers={'customer_key': 'customer.customer_key'},
) }}
select
    s.row_id,
    s.response_id,
    s.responded_at,
    s.customer_key,
    s.visitor_key,
    s.rule_id,
    s.answers
from {{ new_lines('survey_responses') }} as s
where not exists (select from {{ computed('line_duplicate') }} as d where d.row_id = s.row_id)
