-- A session carries the number and the won of exactly the transactions that name it.
-- Compared for every session computed in this run.
with linked as (
    select
        session_visitor_key as visitor_key,
        started_at,
        count(*) as transactions,
        coalesce(sum(amount_krw), 0) as amount_krw
    from next.transaction_fact
    where started_at >= (select min(started_at) from build.session_fact)
    group by session_visitor_key, started_at
)

select
    s.visitor_key,
    s.started_at,
    s.transactions as transactions_of_session,
    coalesce(t.transactions, 0) as transactions_found,
    s.amount_krw as amount_krw_of_session,
    coalesce(t.amount_krw, 0) as amount_krw_found
from build.session_fact as s
left join linked as t on s.visitor_key = t.visitor_key and s.started_at = t.started_at
where
    s.transactions <> coalesce(t.transactions, 0)
    or s.amount_krw <> coalesce(t.amount_krw, 0)
union all
select
    t.session_visitor_key as visitor_key,
    t.started_at,
    0 as transactions_of_session,
    1 as transactions_found,
    0 as amount_krw_of_session,
    t.amount_krw as amount_krw_found
from build.transaction_fact as t
where
    t.started_at is not null
    and not exists (
        select from build.session_fact as s
        where s.visitor_key = t.session_visitor_key and s.started_at = t.started_at
    )
limit 200
