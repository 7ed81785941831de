{{ config(materialized='mart_view') }}
-- Totals alone can be compared over time whatever the rows below them are split by.
select
    s.session_date as business_date,
    m.measure,
    m.value
from (
    select
        session_date,
        sum(sessions) as sessions,
        sum(events) as events,
        sum(converted_sessions) as converted_sessions
    from {{ ref('session_daily') }}
    group by session_date
) as s
cross join lateral (
    values
    ('sessions', s.sessions),
    ('events', s.events),
    ('converted_sessions', s.converted_sessions)
) as m (measure, value)
union all
select
    t.transaction_date as business_date,
    m.measure,
    m.value
from (
    select
        transaction_date,
        sum(transactions) as transactions,
        sum(amount_krw) as amount_krw
    from {{ ref('transaction_daily') }}
    group by transaction_date
) as t
cross join lateral (
    values
    ('transactions', t.transactions),
    ('amount_krw', t.amount_krw)
) as m (measure, value)
