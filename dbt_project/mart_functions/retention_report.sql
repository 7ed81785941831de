-- A cohort report of the days on which persons start and return: `days` is a relation with the columns of
-- mart.cohort_day, `plan` the cohort. Not for readers: they call mart.retention_cells().
create or replace function mart.retention_report(
    days regclass, plan mart.cohort, from_date date, to_date date, as_of date, segment text
)
returns table (cohort_start date, age integer, size bigint, returned bigint, is_complete boolean)
language plpgsql stable
set search_path = ''
as $$
#variable_conflict use_column
declare
    today constant date := least(retention_report.as_of, mart.watermark_date());
begin
    return query
    with person as materialized (
        select p.cohort_start, p.age
        from raw.retention_person(
            retention_report.days, plan.cohort_id, plan.period, plan.mode, plan.entry, plan.ages, plan.brackets, today
        ) as p
        where
            p.cohort_start >= coalesce(retention_report.from_date, '-infinity')
            and p.cohort_start <= coalesce(retention_report.to_date, 'infinity')
            and (
                retention_report.segment is null
                or p.person_key in (
                    select c.customer_key from mart.segment_customers(retention_report.segment) as c (customer_key)
                )
            )
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
revoke execute on function mart.retention_report(regclass, mart.cohort, date, date, date, text) from public;
grant execute on function mart.retention_report(regclass, mart.cohort, date, date, date, text) to jm_builder;
