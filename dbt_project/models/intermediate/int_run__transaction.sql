-- depends_on: {{ ref('int_session__near') }} {{ ref('int_run__point') }}
-- Transactions whose session is decided in this run: the new ones, and those beside sessions that change.
{% set policy = session_policy() %}
{% set gap = seconds(policy.timeout_seconds) %}
{% set reach = seconds(policy.transaction_tolerance_seconds) %}
{% if is_full() -%}
select t.row_id
from {{ landed('transactions') }} as t
where not exists (select from {{ ref('line_duplicate') }} as d where d.row_id = t.row_id)
{%- else -%}
with around as (
    select
        visitor_key,
        customer_key,
        started_at - {{ gap }} as from_at,
        ended_at + {{ gap }} + {{ reach }} as to_at
    from {{ ref('int_session__near') }}
    union
    select
        visitor_key,
        customer_key,
        event_at - {{ gap }} as from_at,
        event_at + {{ gap }} + {{ reach }} as to_at
    from {{ ref('int_run__point') }}
),

found as (
    select n.row_id
    from {{ new_lines('transactions') }} as n
    union
    select t.row_id
    from around as a
    inner join {{ source('raw', 'transactions') }} as t
        on a.customer_key = t.customer_key and t.transacted_at between a.from_at and a.to_at
    where {{ is_visible('t.row_id') }}
    union
    select t.row_id
    from around as a
    inner join {{ source('raw', 'transactions') }} as t
        on a.visitor_key = t.visitor_key and t.transacted_at between a.from_at and a.to_at
    where {{ is_visible('t.row_id') }}
)

select f.row_id
from found as f
where not exists (select from {{ ref('line_duplicate') }} as d where d.row_id = f.row_id)
{%- endif %}
