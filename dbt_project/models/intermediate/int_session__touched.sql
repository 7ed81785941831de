-- depends_on: {{ ref('int_run__transaction') }} {{ ref('line_duplicate') }}
-- Published sessions computed again in this run: those near new events, and every one that could own
-- a transaction whose session is decided anew.
{% set reach = seconds(session_policy().transaction_tolerance_seconds) %}
select
    visitor_key,
    started_at,
    ended_at
from {{ ref('int_session__near') }}
{%- if not is_full() %}
union
select
    s.visitor_key,
    s.started_at,
    s.ended_at
from {{ ref('int_run__transaction') }} as r
inner join {{ source('raw', 'transactions') }} as t on r.row_id = t.row_id
inner join {{ published('session_fact') }} as s
    on t.customer_key = s.customer_key and t.transacted_at between s.started_at and s.ended_at + {{ reach }}
union
select
    s.visitor_key,
    s.started_at,
    s.ended_at
from {{ ref('int_run__transaction') }} as r
inner join {{ source('raw', 'transactions') }} as t on r.row_id = t.row_id
inner join {{ published('session_fact') }} as s
    on t.visitor_key = s.visitor_key and t.transacted_at between s.started_at and s.ended_at + {{ reach }}
union
-- a withdrawn duplicate transaction leaves the session it was in
select
    s.visitor_key,
    s.started_at,
    s.ended_at
from {{ computed('line_duplicate') }} as d
inner join {{ published('transaction_fact') }} as t on d.row_id = t.row_id
inner join {{ published('session_fact') }} as s on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
{%- endif %}
