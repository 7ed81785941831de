-- Keys of the customers who belong to a segment: at the watermark, or at the end of a date. Refuses a segment that is
-- not defined, which would otherwise look like one without customers.
create or replace function mart.segment_customers(segment text, as_of date default null)
returns setof integer
language plpgsql stable parallel safe security definer set search_path = ''
as $$
declare
    moment timestamptz;
begin
    if not exists (select from mart.segment as s where s.segment_id = segment_customers.segment) then
        raise exception 'there is no segment ''%''', segment_customers.segment using errcode = '22023';
    end if;
    select least(
        w.watermark_at,
        (segment_customers.as_of + 1)::timestamp at time zone (
            select d.content ->> 'time_zone' from config.definition as d
            where d.kind = 'sessions' and d.retired_at is null
        ) - interval '1 microsecond'
    ) into moment
    from mart.watermark as w;
    return query
    select v.customer_key
    from mart.segment_validity as v
    where
        v.segment_id = segment_customers.segment
        and v.valid_from <= moment
        and (v.valid_to is null or v.valid_to > moment);
end
$$;
revoke execute on function mart.segment_customers(text, date) from public;
grant execute on function mart.segment_customers(text, date) to jm_builder;
