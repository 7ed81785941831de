-- A funnel by step, everything by the date of entry: both dates are included. from_previous is the share of those who
-- took the step before that is not optional. One row per step, even of nobody; with breakdown_by one per group and
-- step: breakdown (the value that the definition keeps), channel (of the session of the entry), segment (each of
-- `segments`, null for all).
-- tie_decided: of those who took the step, whose attempt would have ended differently had events of the very same time
-- come in the reverse order.
create or replace function mart.funnel(
    funnel_id text, from_date date default null, to_date date default null, channel text default null,
    domain text default null, segment text default null, breakdown_by text default null,
    segments text[] default null, device_type text default null
)
returns table (
    breakdown text, step_no integer, name text, entered bigint, converted bigint, dropped bigint, still_open bigint,
    from_previous double precision, from_first double precision, median_seconds double precision,
    amount_krw numeric(38, 2), tie_decided bigint
)
language plpgsql stable security definer rows 20
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
begin
    return query
    select r.*
    from mart.funnel_report(
        'mart.funnel_entry', funnel.funnel_id, mart.funnel_definition(funnel.funnel_id), funnel.from_date, funnel.to_date,
        funnel.channel, funnel.domain, funnel.segment, funnel.breakdown_by, funnel.segments,
        funnel.device_type
    ) as r;
end
$$;
revoke execute on function mart.funnel(text, date, date, text, text, text, text, text[], text) from public;
grant execute on function mart.funnel(text, date, date, text, text, text, text, text[], text) to jm_dashboard;
