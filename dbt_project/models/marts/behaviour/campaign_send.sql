{{ config(
    key=['row_id'],
    replaces=[
        "exists (select from build.campaign_send as b where b.row_id = m.row_id)",
        "exists (select from build.line_duplicate as d where d.row_id = m.row_id)",
    ],
    indexes=[['customer_key', 'sent_at']],
    refers={'customer_key': 'customer.customer_key'},
) }}
select
    s.row_id,
    s.send_id,
    s.customer_key,
    s.sent_at,
    s.campaign_id,
    s.channel,
    s.message_id,
    s.result,
    s.opened_at,
    s.clicked_at
from {{ new_lines('campaign_sends') }} as s
where not exists (select from {{ computed('line_duplicate') }} as d where d.row_id = s.row_id)
