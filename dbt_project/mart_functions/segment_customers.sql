-- When it is asked who belongs to a segment: at the watermark, or at the end of a date before it.
create or replace function mart.segment_moment(as_of date)
returns timestamptz
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
    select least(
        w.watermark_at,
        (segment_moment.as_of + 1)::timestamp at time zone mart.time_zone() - interval '1 microsecond'
    )
    from mart.watermark as w
$$;
revoke execute on function mart.segment_moment(date) from public;
grant execute on function mart.segment_moment(date) to jm_builder;

-- Keys of the customers who belong to a segment at that moment. Refuses a segment that is
-- not defined, which would otherwise look like one without customers.
create or replace function mart.segment_customers(segment text, as_of date default null)
returns setof integer
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
    moment constant timestamptz := mart.segment_moment(segment_customers.as_of);
begin
    if not exists (select from mart.segment as s where s.segment_id = segment_customers.segment) then
        raise exception 'there is no segment ''%''', segment_customers.segment using errcode = '22023';
    end if;
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
grant execute on function mart.segment_customers(text, date) to jm_builder, jm_dashboard;

-- The same now, as mart.session_selected takes them; null where no segment is asked for: no limit.
create or replace function mart.segment_keys(segment text)
returns integer[]
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
    select case
        when segment_keys.segment is not null
            then array(select c.customer_key from mart.segment_customers(segment_keys.segment) as c (customer_key))
    end
$$;
revoke execute on function mart.segment_keys(text) from public;
