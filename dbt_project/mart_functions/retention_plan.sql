-- A defined cohort with what is asked for instead; refuses what cannot be.
create or replace function mart.retention_plan(
    cohort text, period text, mode text, entry text, ages integer, brackets integer[]
)
returns mart.cohort
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
as $$
declare
    plan mart.cohort;
begin
    select c.* into plan from mart.cohort as c where c.cohort_id = retention_plan.cohort;
    if not found then
        raise exception 'there is no cohort ''%''', retention_plan.cohort using errcode = '22023';
    end if;
    plan.period := coalesce(retention_plan.period, plan.period);
    plan.mode := coalesce(retention_plan.mode, plan.mode);
    plan.entry := coalesce(retention_plan.entry, plan.entry);
    plan.ages := coalesce(retention_plan.ages, plan.ages);
    plan.brackets := case when plan.mode = 'bracket' then coalesce(retention_plan.brackets, plan.brackets) else '{}' end;
    if plan.period not in ('day', 'week', 'month') then
        raise exception 'period must be day, week or month, not %', plan.period using errcode = '22023';
    end if;
    if plan.mode not in ('exact', 'unbounded', 'bracket') then
        raise exception 'mode must be exact, unbounded or bracket, not %', plan.mode using errcode = '22023';
    end if;
    if plan.entry not in ('every', 'first') then
        raise exception 'entry must be every or first, not %', plan.entry using errcode = '22023';
    end if;
    if plan.ages not between 1 and 400 then
        raise exception 'ages must be between 1 and 400, not %', plan.ages using errcode = '22023';
    end if;
    if plan.mode <> 'bracket' and retention_plan.brackets is not null then
        raise exception 'brackets belong to mode bracket, not to %', plan.mode using errcode = '22023';
    end if;
    if plan.mode = 'bracket' and cardinality(plan.brackets) = 0 then
        raise exception '% has no brackets, which mode bracket needs', retention_plan.cohort
            using errcode = '22023', hint = 'name the first age of each after the first: --brackets 2,4,8';
    end if;
    if plan.mode = 'bracket' and plan.brackets <> array(
        select distinct b from unnest(plan.brackets) as b where b between 1 and plan.ages order by b
    ) then
        raise exception 'brackets must rise, from 1 to % (ages), not %', plan.ages, array_to_string(plan.brackets, ',')
            using errcode = '22023';
    end if;
    return plan;
end
$$;
revoke execute on function mart.retention_plan(text, text, text, text, integer, integer[]) from public;

-- The business date up to which everything is in the mart.
create or replace function mart.watermark_date()
returns date
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select (w.watermark_at at time zone mart.time_zone())::date
    from mart.watermark as w
$$;
revoke execute on function mart.watermark_date() from public;
grant execute on function mart.watermark_date() to jm_builder;
