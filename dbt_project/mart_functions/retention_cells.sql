-- A cohort report: of the `size` persons who start in the period from `cohort_start`, how many return at an `age`. What
-- is not given is as the cohort is defined, and then mart.retention is read; otherwise the days of every person are.
-- as_of: as if nothing had happened after that date. segment: only persons who belong to it now. channel, domain,
-- device_type: only those with a start of the period in such a session.
create or replace function mart.retention_cells(
    cohort text, period text default null, mode text default null, entry text default null,
    ages integer default null, brackets integer[] default null,
    from_date date default null, to_date date default null, as_of date default null, segment text default null,
    channel text default null, domain text default null, device_type text default null
)
returns table (cohort_start date, age integer, size bigint, returned bigint, is_complete boolean)
language plpgsql stable security definer rows 200
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    plan constant mart.cohort := mart.retention_plan(
        retention_cells.cohort, retention_cells.period, retention_cells.mode, retention_cells.entry,
        retention_cells.ages, retention_cells.brackets
    );
begin
    if retention_cells.as_of is null and retention_cells.segment is null
        and coalesce(retention_cells.channel, retention_cells.domain, retention_cells.device_type) is null
        and plan = (select c from mart.cohort as c where c.cohort_id = plan.cohort_id) then
        return query
        select r.cohort_start, r.age, r.size, r.returned, r.is_complete
        from mart.retention as r
        where
            r.cohort_id = plan.cohort_id
            and r.cohort_start >= coalesce(retention_cells.from_date, '-infinity')
            and r.cohort_start <= coalesce(retention_cells.to_date, 'infinity')
        order by 1, 2;
        return;
    end if;
    return query
    select r.*
    from mart.retention_report(
        'mart.cohort_day', 'mart.step_match', plan, retention_cells.from_date, retention_cells.to_date,
        retention_cells.as_of, retention_cells.segment, retention_cells.channel, retention_cells.domain,
        retention_cells.device_type
    ) as r;
end
$$;
revoke execute on function mart.retention_cells(
    text, text, text, text, integer, integer[], date, date, date, text, text, text, text
) from public;
grant execute on function mart.retention_cells(
    text, text, text, text, integer, integer[], date, date, date, text, text, text, text
) to jm_dashboard;
