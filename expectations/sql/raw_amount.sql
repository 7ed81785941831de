-- The amount in the ledger of a transaction file is the sum of the amounts of its rows.
with scope as (select * from {batch}),

summed as (
    select
        s.file_id,
        (s.totals ->> 'amount')::numeric as amount_in_ledger,
        (select sum(t.amount) from raw.transactions as t where t.row_id between s.first_row and s.last_row)
            as amount_in_rows
    from scope as s
    where s.totals ? 'amount'
)

select
    file_id,
    amount_in_ledger,
    amount_in_rows
from summed
where amount_in_ledger is distinct from coalesce(amount_in_rows, 0)
