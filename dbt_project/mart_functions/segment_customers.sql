-- Keys of the customers who belong to a segment now. PL/pgSQL: the table may be younger than this function.
create or replace function mart.segment_customers(segment text)
returns setof integer
language plpgsql stable parallel safe security definer set search_path = ''
as $$
begin
    return query
    select c.customer_key
    from mart.segment_member as m
    inner join raw.customer as c on m.customer_id = c.customer_id
    where m.segment_id = segment_customers.segment and m.valid_to is null;
end
$$;
revoke execute on function mart.segment_customers(text) from public;
grant execute on function mart.segment_customers(text) to jm_builder;
