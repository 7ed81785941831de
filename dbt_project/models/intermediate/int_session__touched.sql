{{ config(indexes=[['visitor_key', 'started_at']]) }}
-- depends_on: {{ ref('int_run__transaction') }} {{ ref('line_duplicate') }} {{ ref('int_run__stretch') }}
-- Published sessions computed again in this run: those that its events change, and every one that could own a
-- transaction whose session is decided anew.
{% set policy = session_policy() %}
{% set reach = seconds(policy.transaction_tolerance_seconds) %}
with recursive touched as (
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
    inner join {{ published('session_fact') }} as s
        on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
    {%- if has_gone() %}
    union
    select
        s.visitor_key,
        s.started_at,
        s.ended_at
    from {{ gone_lines('transactions') }} as d
    inner join {{ published('transaction_fact') }} as t on d.row_id = t.row_id
    inner join {{ published('session_fact') }} as s
        on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
    {%- endif %}
    {%- endif %}
)
{%- if policy.cut_at_campaign and not is_full() %},

-- A session cut by a campaign is cut by comparison with the one before it, so that one is computed again as well, back
-- to the last silence: without it, two sessions around it would look like neighbours.
chained as (
    select * from touched
    union
    select
        b.visitor_key,
        b.started_at,
        b.ended_at
    from chained as c
    cross join lateral (
        select
            f.visitor_key,
            f.started_at,
            f.ended_at
        from {{ published('session_fact') }} as f
        where f.visitor_key = c.visitor_key and f.started_at < c.started_at
        order by f.started_at desc
        limit 1
    ) as b
    where c.started_at - b.ended_at <= {{ seconds(policy.timeout_seconds) }}
)

select * from chained
{%- else %}

select * from touched
{%- endif %}
