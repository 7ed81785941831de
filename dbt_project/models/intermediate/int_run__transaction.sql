-- depends_on: {{ ref('int_session__near') }} {{ ref('int_run__stretch') }}
-- Transactions whose session is decided in this run: the new ones, and those beside sessions that change.
{% set policy = session_policy() %}
{% set gap = seconds(policy.timeout_seconds) %}
{% set reach = seconds(policy.transaction_tolerance_seconds) %}
{% if is_full() -%}
select t.row_id
from {{ landed('transactions') }} as t
where not exists (select from {{ ref('line_duplicate') }} as d where d.row_id = t.row_id)
{%- else -%}
with part as (
    select
        n.visitor_key,
        e.customer_key,
        n.started_at - {{ gap }} as from_at,
        n.ended_at + {{ gap }} + {{ reach }} as to_at
    from {{ ref('int_session__near') }} as n
    left join {{ published('session_event') }} as e
        on
            n.visitor_key = e.visitor_key
            and n.started_at = e.started_at
            and e.event_at between n.started_at and n.ended_at
            and e.customer_key is not null
    union
    select
        visitor_key,
        customer_key,
        first_at - {{ gap }} as from_at,
        last_at + {{ gap }} + {{ reach }} as to_at
    from {{ ref('int_run__stretch') }}
),

-- Parts that touch may become one session, or have been one: whoever logged in in any of them may own all of it.
placed as (
    select
        *,
        count(*) filter (where is_apart) over (partition by visitor_key order by from_at) as place
    from (
        select
            *,
            from_at > max(to_at) over (
                partition by visitor_key order by from_at rows between unbounded preceding and 1 preceding
            ) as is_apart
        from part
    ) as p
),

around as (
    select distinct
        visitor_key,
        customer_key,
        min(from_at) over (partition by visitor_key, place) as from_at,
        max(to_at) over (partition by visitor_key, place) as to_at
    from placed
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
    from (
        select distinct
            visitor_key,
            from_at,
            to_at
        from around
    ) as a
    inner join {{ source('raw', 'transactions') }} as t
        on a.visitor_key = t.visitor_key and t.transacted_at between a.from_at and a.to_at
    where {{ is_visible('t.row_id') }}
)

select f.row_id
from found as f
where not exists (select from {{ ref('line_duplicate') }} as d where d.row_id = f.row_id)
{%- endif %}
