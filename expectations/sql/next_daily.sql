-- The daily totals are the sums of the sessions of the day.
with scope as (select * from {batch}),

session as (
    select
        session_date,
        count(*) as sessions,
        sum(events) as events,
        sum(pages) as pages,
        sum(errors) as errors,
        sum(transactions) as transactions,
        sum(amount_krw) as amount_krw
    from next.session_fact
    where session_date = any(array(select session_date from scope))
    group by session_date
),

daily as (
    select
        session_date,
        sum(sessions) as sessions,
        sum(events) as events,
        sum(pages) as pages,
        sum(errors) as errors,
        sum(transactions) as transactions,
        sum(amount_krw) as amount_krw
    from next.session_daily
    where session_date = any(array(select session_date from scope))
    group by session_date
)

select
    coalesce(s.session_date, d.session_date) as session_date,
    s.sessions,
    d.sessions as sessions_daily,
    s.events,
    d.events as events_daily,
    s.amount_krw,
    d.amount_krw as amount_krw_daily
from session as s
full join daily as d on s.session_date = d.session_date
where
    (s.sessions, s.events, s.pages, s.errors, s.transactions, s.amount_krw)
    is distinct from (d.sessions, d.events, d.pages, d.errors, d.transactions, d.amount_krw)
