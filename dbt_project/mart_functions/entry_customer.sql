-- The customer of an entry of a funnel, null if none is known: of a visitor or session that is counted, the customer of
-- the session of the entry; a person is their own. A plain SQL function: Postgres puts it into the query that calls it,
-- and persons cost no look-up.
create or replace function mart.entry_customer(
    count_by text, subject_key integer, visitor_key integer, started_at timestamptz
)
returns table (customer_key integer)
language sql stable parallel safe rows 1
as $$
    select case
        when entry_customer.count_by in ('visitor', 'session') then (
            select s.customer_key
            from mart.session_fact as s
            where s.visitor_key = entry_customer.visitor_key and s.started_at = entry_customer.started_at
        )
        when entry_customer.subject_key > 0 then entry_customer.subject_key
    end
$$;
revoke execute on function mart.entry_customer(text, integer, integer, timestamptz) from public;
grant execute on function mart.entry_customer(text, integer, integer, timestamptz) to jm_builder, jm_dashboard;
