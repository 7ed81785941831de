-- The daily totals are the sums of the sessions of the day: they change by what sessions change.
with scope as (select * from {sessions}),

session as (
    select
        session_date,
        sum(sign) as sessions,
        sum(sign * events) as events,
        sum(sign * pages) as pages,
        sum(sign * errors) as errors,
        sum(sign * (transactions > failed_transactions)::integer) as converted,
        sum(sign * transactions) as transactions,
        sum(sign * amount_krw) as amount_krw
    from scope
    group by session_date
),

daily as (
    select
        session_date,
        sum(sign * sessions) as sessions,
        sum(sign * events) as events,
        sum(sign * pages) as pages,
        sum(sign * errors) as errors,
        sum(sign * converted_sessions) as converted,
        sum(sign * transactions) as transactions,
        sum(sign * amount_krw) as amount_krw
    from (
        select
            1 as sign,
            d.*
        from build.session_daily as d
        where d.sessions > 0
        union all
        select
            -1 as sign,
            d.*
        from build.session_daily_before as d
    ) as signed
    group by session_date
)

select
    coalesce(s.session_date, d.session_date) as session_date,
    s.sessions,
    d.sessions as sessions_daily,
    s.events,
    d.events as events_daily,
    s.converted,
    d.converted as converted_daily,
    s.amount_krw,
    d.amount_krw as amount_krw_daily
from session as s
full join daily as d on s.session_date = d.session_date
where
    (s.sessions, s.events, s.pages, s.errors, s.converted, s.transactions, s.amount_krw)
    is distinct from (d.sessions, d.events, d.pages, d.errors, d.converted, d.transactions, d.amount_krw)
