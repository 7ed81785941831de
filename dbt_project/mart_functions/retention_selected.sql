-- Who starts in which period of a cohort in a session of this channel, domain and device. `matches` is a relation with
-- the columns of mart.step_match, `plan` the cohort.
create or replace function mart.retention_started(
    matches regclass, plan mart.cohort, as_of date, channel text, domain text, device_type text
)
returns table (person_key integer, cohort_start date)
language plpgsql stable
set search_path = pg_catalog, pg_temp
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

-- Who starts in which period of a cohort (age null), and at which ages they return: those of a segment, and with a
-- start of the period in a session of this channel, domain and device. `days` is a relation with the columns of
-- mart.cohort_day, `matches` one with those of mart.step_match. A plain SQL function: Postgres puts it into the query
-- that calls it.
create or replace function mart.retention_selected(
    days regclass, matches regclass, plan mart.cohort, as_of date, segment text,
    channel text, domain text, device_type text
)
returns table (person_key integer, cohort_start date, age integer)
language sql stable
as $$
    select p.person_key, p.cohort_start, p.age
    from raw.retention_person(
        retention_selected.days, (retention_selected.plan).cohort_id, (retention_selected.plan).period,
        (retention_selected.plan).mode, (retention_selected.plan).entry, (retention_selected.plan).ages,
        (retention_selected.plan).brackets, retention_selected.as_of
    ) as p
    where
        (
            retention_selected.segment is null
            or p.person_key in (
                select c.customer_key from mart.segment_customers(retention_selected.segment) as c (customer_key)
            )
        )
        and (
            coalesce(retention_selected.channel, retention_selected.domain, retention_selected.device_type) is null
            or (p.person_key, p.cohort_start) in (
                select s.person_key, s.cohort_start
                from mart.retention_started(
                    retention_selected.matches, retention_selected.plan, retention_selected.as_of,
                    retention_selected.channel, retention_selected.domain, retention_selected.device_type
                ) as s
            )
        )
$$;
revoke execute on function mart.retention_selected(
    regclass, regclass, mart.cohort, date, text, text, text, text
) from public;
grant execute on function mart.retention_selected(
    regclass, regclass, mart.cohort, date, text, text, text, text
) to jm_builder;
