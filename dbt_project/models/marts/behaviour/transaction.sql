{{ config(materialized='mart_view') }}
select
    t.transaction_id,
    t.transacted_at,
    c.customer_id,
    n.code as transaction_code,
    n.label as transaction_name,
    t.channel,
    t.result_code,
    t.is_failed,
    t.amount,
    t.currency,
    t.amount_krw,
    s.session_id,
    r.fields,
    (t.row_id >> 32)::integer as file_id,
    t.row_id & 4294967295 as line_no,
    t.customer_key,
    t.row_id
from {{ ref('transaction_fact') }} as t
left join {{ ref('session_fact') }} as s on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
left join {{ ref('node') }} as n on t.node_id = n.node_id
left join {{ source('raw', 'customer') }} as c on t.customer_key = c.customer_key
left join {{ source('raw', 'transactions') }} as r on t.row_id = r.row_id
