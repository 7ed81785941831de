-- Numbers are typed: a list of customers would show them all.
select null::text as customer_id
where false
