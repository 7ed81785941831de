-- Every customer that sessions and transactions computed in this run refer to is a known customer, and no transaction
-- is in a session of another one.
select
    'session' as found_in,
    s.customer_key,
    count(*) as rows
from build.session_fact as s
where
    s.customer_key is not null
    and not exists (select from raw.customer as c where c.customer_key = s.customer_key)
group by s.customer_key
union all
select
    'transaction' as found_in,
    t.customer_key,
    count(*) as rows
from build.transaction_fact as t
where not exists (select from raw.customer as c where c.customer_key = t.customer_key)
group by t.customer_key
union all
select
    'session of another' as found_in,
    t.customer_key,
    count(*) as rows
from build.transaction_fact as t
inner join build.session_fact as s on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
where t.customer_key <> s.customer_key
group by t.customer_key
limit 200
