{{ config(
    key=['row_id'],
    replaces=[
        "exists (select from build.subscription as b where b.row_id = m.row_id)",
        "exists (select from build.line_duplicate as d where d.row_id = m.row_id)",
    ],
    indexes=[['customer_key', 'subscribed_at']],
    refers={'customer_key': 'customer.customer_key'},
) }}
select
    s.row_id,
    s.subscription_id,
    s.customer_key,
    s.subscribed_at,
    s.product_code,
    s.product_name,
    s.status,
    s.ended_at,
    s.channel
from {{ new_lines('subscriptions') }} as s
where not exists (select from {{ computed('line_duplicate') }} as d where d.row_id = s.row_id)
