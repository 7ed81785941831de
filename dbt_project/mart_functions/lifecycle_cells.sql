-- Persons by period and status, by the starts of a cohort: new, returning, resurrecting, dormant. What is not given is
-- as the cohort is defined. With a channel, domain or device: only persons with a start of the period in such a
-- session, of dormant ones of the period before.
create or replace function mart.lifecycle_cells(
    cohort text, period text default null, from_date date default null, to_date date default null,
    as_of date default null, segment text default null,
    channel text default null, domain text default null, device_type text default null
)
returns table (period_start date, status text, persons bigint, is_complete boolean)
language plpgsql stable security definer rows 200
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    plan constant mart.cohort := mart.retention_plan(
        lifecycle_cells.cohort, lifecycle_cells.period, null, null, null, null
    );
    today constant date := least(lifecycle_cells.as_of, mart.watermark_date());
begin
    return query
    select p.period_start, p.status, count(*), p.period_start < raw.period_start(plan.period, today)
    from raw.lifecycle_person('mart.cohort_day', plan.cohort_id, plan.period, today) as p
    where
        p.period_start <= today
        and p.period_start >= coalesce(lifecycle_cells.from_date, '-infinity')
        and p.period_start <= coalesce(lifecycle_cells.to_date, 'infinity')
        and (
            lifecycle_cells.segment is null
            or p.person_key in (
                select m.customer_key from mart.segment_customers(lifecycle_cells.segment) as m (customer_key)
            )
        )
        and (
            coalesce(lifecycle_cells.channel, lifecycle_cells.domain, lifecycle_cells.device_type) is null
            or (
                p.person_key,
                case p.status
                    when 'dormant' then (p.period_start - ('1 ' || plan.period)::interval)::date
                    else p.period_start
                end
            ) in (
                select s.person_key, s.cohort_start
                from mart.retention_started(
                    'mart.step_match', plan, today, lifecycle_cells.channel, lifecycle_cells.domain,
                    lifecycle_cells.device_type
                ) as s
            )
        )
    group by 1, 2
    order by 1, 2;
end
$$;
revoke execute on function mart.lifecycle_cells(text, text, date, date, date, text, text, text, text) from public;
grant execute on function mart.lifecycle_cells(text, text, date, date, date, text, text, text, text) to jm_dashboard;
