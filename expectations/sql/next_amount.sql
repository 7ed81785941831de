-- Per file and currency: accepted transactions and their amounts are in the mart to the last digit, and those in won
-- carry their amount unchanged.
with scope as (select * from {files}),

landed as (
    select
        s.file_id,
        coalesce(t.currency, 'KRW') as currency,
        count(*) as transactions,
        coalesce(sum(t.amount), 0) as amount,
        coalesce(sum(round(t.amount, 2)), 0) as amount_rounded
    from scope as s
    inner join raw.transactions as t on t.row_id between s.first_row and s.last_row
    where
        not exists (select from next.line_duplicate as d where d.row_id = t.row_id)
        and not exists (select from build.run_erased as g where g.erased_row = t.row_id)
    group by s.file_id, coalesce(t.currency, 'KRW')
),

computed as (
    select
        s.file_id,
        t.*
    from scope as s
    cross join lateral (  -- summed within, so that each file is a look-up by its range of rows
        select
            coalesce(n.currency, 'KRW') as currency,
            count(*) as transactions,
            coalesce(sum(n.amount), 0) as amount,
            coalesce(sum(n.amount_krw), 0) as amount_krw
        from next.transaction_fact as n
        where n.row_id between s.first_row and s.last_row
        group by coalesce(n.currency, 'KRW')
    ) as t
)

select
    coalesce(r.file_id, m.file_id) as file_id,
    coalesce(r.currency, m.currency) as currency,
    r.transactions as transactions_landed,
    m.transactions as transactions_mart,
    r.amount as amount_landed,
    m.amount as amount_mart,
    m.amount_krw
from landed as r
full join computed as m on r.file_id = m.file_id and r.currency = m.currency
where
    (r.transactions, r.amount) is distinct from (m.transactions, m.amount)
    or (r.currency = 'KRW' and r.amount_rounded is distinct from m.amount_krw)
