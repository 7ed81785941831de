-- The persons behind one number of mart.retention_cells: all who start in the period from `cohort_start` (`age` null),
-- or those who return at that age (`has_returned` false: who do not; nobody before the age has begun). Refuses a start
-- or an age that the report does not have: everybody would be one who does not return.
create or replace function mart.retention_people(
    cohort text, cohort_start date, age integer default null, has_returned boolean default true,
    period text default null, mode text default null, entry text default null,
    ages integer default null, brackets integer[] default null, as_of date default null, segment text default null,
    channel text default null, domain text default null, device_type text default null
)
returns table (person_id text, customer_id text)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    today constant date := least(retention_people.as_of, mart.watermark_date());
    plan constant mart.cohort := mart.retention_plan(
        retention_people.cohort, retention_people.period, retention_people.mode, retention_people.entry,
        retention_people.ages, retention_people.brackets
    );
begin
    if raw.period_start(plan.period, retention_people.cohort_start) <> retention_people.cohort_start then
        raise exception 'no % begins on %', plan.period, retention_people.cohort_start using errcode = '22023';
    end if;
    if retention_people.age is not null and not exists (
        select from raw.retention_age(plan.mode, plan.ages, plan.brackets, plan.ages) as a
        where a.age = retention_people.age
    ) then
        raise exception 'the report has no age %', retention_people.age using errcode = '22023';
    end if;
    return query
    select coalesce(c.customer_id, v.visitor_id), c.customer_id
    from (
        select
            p.person_key,
            coalesce(bool_or(
                p.age = retention_people.age or (plan.mode = 'unbounded' and p.age > retention_people.age)
            ), false) as has_returned
        from mart.retention_selected(
            'mart.cohort_day', 'mart.step_match', plan, today, retention_people.segment,
            retention_people.channel, retention_people.domain, retention_people.device_type
        ) as p
        where p.cohort_start = retention_people.cohort_start
        group by 1
    ) as r
    left join raw.customer as c on c.customer_key = r.person_key
    left join raw.visitor as v on v.visitor_key = -r.person_key
    where
        retention_people.age is null
        or (
            r.has_returned = coalesce(retention_people.has_returned, true)
            and retention_people.age
            <= raw.period_no(plan.period, today) - raw.period_no(plan.period, retention_people.cohort_start)
        )
    order by 1;
end
$$;
revoke execute on function mart.retention_people(
    text, date, integer, boolean, text, text, text, integer, integer[], date, text, text, text, text
) from public;
grant execute on function mart.retention_people(
    text, date, integer, boolean, text, text, text, integer, integer[], date, text, text, text, text
) to jm_dashboard;
