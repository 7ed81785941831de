-- A cohort report of the days on which persons start and return: `days` is a relation with the columns of
-- mart.cohort_day, `matches` one with those of mart.step_match, `plan` the cohort. With a channel, domain or device:
-- only of persons with a start of the period in such a session. Not for readers: they call mart.retention_cells().
create or replace function mart.retention_report(
    days regclass, matches regclass, plan mart.cohort, from_date date, to_date date, as_of date, segment text,
    channel text, domain text, device_type text
)
returns table (cohort_start date, age integer, size bigint, returned bigint, is_complete boolean)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    today constant date := least(retention_report.as_of, mart.watermark_date());
begin
    return query
    with person as materialized (
        select p.cohort_start, p.age
        from mart.retention_selected(
            retention_report.days, retention_report.matches, plan, today, retention_report.segment,
            retention_report.channel, retention_report.domain, retention_report.device_type
        ) as p
        where
            p.cohort_start >= coalesce(retention_report.from_date, '-infinity')
            and p.cohort_start <= coalesce(retention_report.to_date, 'infinity')
    ),

    counted as (
        select
            p.cohort_start,
            coalesce(p.age, 0) as age,
            count(*) filter (where p.age is null) as started,
            count(p.age) as returned
        from person as p
        group by 1, 2
    )

    select s.cohort_start, a.age, s.started, coalesce(sum(n.returned), 0)::bigint, a.is_complete
    from counted as s
    cross join lateral raw.retention_age(
        plan.mode, plan.ages, plan.brackets,
        raw.period_no(plan.period, today) - raw.period_no(plan.period, s.cohort_start)
    ) as a
    left join counted as n
        on n.cohort_start = s.cohort_start and (n.age = a.age or (plan.mode = 'unbounded' and n.age > a.age))
    where s.age = 0 and s.started > 0
    group by 1, 2, 3, 5
    order by 1, 2;
end
$$;
revoke execute on function mart.retention_report(
    regclass, regclass, mart.cohort, date, date, date, text, text, text, text
) from public;
grant execute on function mart.retention_report(
    regclass, regclass, mart.cohort, date, date, date, text, text, text, text
) to jm_builder;
