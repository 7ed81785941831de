-- A session carries the number and the won of exactly the transactions that name it, of failed ones the number alone:
-- all change by the same.
with scope as (select * from {sessions}),

session as (
    select
        visitor_key,
        started_at,
        sum(sign * transactions) as transactions,
        sum(sign * failed_transactions) as failed,
        sum(sign * amount_krw) as amount_krw
    from scope
    group by visitor_key, started_at
),

linked as (
    select
        session_visitor_key as visitor_key,
        started_at,
        sum(sign) as transactions,
        sum(sign) filter (where is_failed) as failed,
        sum(sign * amount_krw) filter (where not is_failed) as amount_krw
    from (
        select
            1 as sign,
            t.*
        from build.transaction_fact as t
        union all
        select
            -1 as sign,
            t.*
        from build.transaction_fact_before as t
    ) as signed
    where started_at is not null
    group by session_visitor_key, started_at
)

select
    coalesce(s.visitor_key, t.visitor_key) as visitor_key,
    coalesce(s.started_at, t.started_at) as started_at,
    s.transactions as transactions_of_session,
    t.transactions as transactions_found,
    s.failed as failed_of_session,
    t.failed as failed_found,
    s.amount_krw as amount_krw_of_session,
    t.amount_krw as amount_krw_found
from session as s
full join linked as t on s.visitor_key = t.visitor_key and s.started_at = t.started_at
where
    coalesce(s.transactions, 0) <> coalesce(t.transactions, 0)
    or coalesce(s.failed, 0) <> coalesce(t.failed, 0)
    or coalesce(s.amount_krw, 0) <> coalesce(t.amount_krw, 0)
limit 200
