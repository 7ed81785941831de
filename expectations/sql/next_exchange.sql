-- A transaction with an amount has a won value; without an exchange rate its amount is missing from every total in won.
select
    currency,
    count(*) as transactions,
    sum(amount) as amount
from build.transaction_fact
where amount is not null and amount_krw is null
group by currency
