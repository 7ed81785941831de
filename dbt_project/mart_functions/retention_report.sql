-- Who starts in which period of a cohort in a session of this channel, domain and device. `matches` is a relation with
-- the columns of mart.step_match, `plan` the cohort.
create or replace function mart.retention_started(
    matches regclass, plan mart.cohort, as_of date, channel text, domain text, device_type text
)
returns table (person_key integer, cohort_start date)
language plpgsql stable
set search_path = ''
as $$
begin
    return query execute format($sql$
        select distinct d.person_key, raw.period_start($2, d.started_on)
        from (
            select m.person_key, (m.matched_at at time zone mart.time_zone())::date as started_on
            from %s as m
            inner join mart.session_fact as s on s.visitor_key = m.visitor_key and s.started_at = m.started_at
            inner join raw.agent as a on a.agent_key = s.agent_key
            where
                m.condition_id = $1
                and ($4 is null or a.channel = $4)
                and ($5 is null or a.domain = $5)
                and ($6 is null or a.device_type = $6)
        ) as d
        where d.started_on <= $3
    $sql$, matches) using plan.start_condition_id, plan.period, as_of, channel, domain, device_type;
end
$$;
revoke execute on function mart.retention_started(regclass, mart.cohort, date, text, text, text) from public;
grant execute on function mart.retention_started(regclass, mart.cohort, date, text, text, text) to jm_builder;

-- A cohort report of the days on which persons start and return: `days` is a relation with the columns of
-- mart.cohort_day, `matches` one with those of mart.step_match, `plan` the cohort. With a channel, domain or device:
-- only of persons with a start of the period in such a session. Not for readers: they call mart.retention_cells().
create or replace function mart.retention_report(
    days regclass, matches regclass, plan mart.cohort, from_date date, to_date date, as_of date, segment text,
    channel text, domain text, device_type text
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
            and (
                coalesce(retention_report.channel, retention_report.domain, retention_report.device_type) is null
                or (p.person_key, p.cohort_start) in (
                    select s.person_key, s.cohort_start
                    from mart.retention_started(
                        retention_report.matches, plan, today, retention_report.channel, retention_report.domain,
                        retention_report.device_type
                    ) as s
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
revoke execute on function mart.retention_report(
    regclass, regclass, mart.cohort, date, date, date, text, text, text, text
) from public;
grant execute on function mart.retention_report(
    regclass, regclass, mart.cohort, date, date, date, text, text, text, text
) to jm_builder;
