-- A key number by day, both dates included; refuses one that is not defined. With a channel, domain or device: of what
-- happened in such sessions; with a segment: of what its members did. Without them mart.kpi_daily has it already.
create or replace function mart.kpi(
    kpi text, from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null, device_type text default null
)
returns table (kpi_date date, value bigint, base bigint, rate double precision)
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    content constant jsonb := (
        select d.content
        from mart.definition as p
        inner join config.definition as d using (kind, definition_id, version)
        where p.kind = 'kpis' and p.definition_id = kpi.kpi
    );
    agents constant integer[] := mart.agent_keys(kpi.channel, kpi.domain, kpi.device_type);
    customers constant integer[] := mart.segment_keys(kpi.segment);
    is_limited constant boolean := coalesce(kpi.channel, kpi.domain, kpi.segment, kpi.device_type) is not null;
begin
    if content is null then
        raise exception 'there is no key number ''%''', kpi.kpi using errcode = '22023';
    end if;
    return query
    select k.kpi_date, k.value, k.base, k.rate
    from mart.kpi_daily as k
    where
        not is_limited
        and k.kpi_id = kpi.kpi
        and k.kpi_date >= coalesce(kpi.from_date, '-infinity')
        and k.kpi_date <= coalesce(kpi.to_date, 'infinity')
    union all
    select n.match_date, n.value, n.base, n.value / n.base::double precision
    from (
        select
            (m.matched_at at time zone mart.time_zone())::date as match_date,
            count(*) filter (where m.condition_id = content ->> 'count') as value,
            nullif(count(*) filter (where m.condition_id = content ->> 'per'), 0) as base
        from mart.step_match as m
        where
            is_limited
            and m.condition_id in (content ->> 'count', content ->> 'per')
            and (
                agents is null
                or (m.visitor_key, m.started_at) in (
                    select s.visitor_key, s.started_at
                    from mart.session_selected(null, null, agents, null) as s
                )
            )
            and (customers is null or m.person_key = any(customers))
        group by 1
    ) as n
    where
        n.match_date >= coalesce(kpi.from_date, '-infinity')
        and n.match_date <= coalesce(kpi.to_date, 'infinity')
    order by 1;
end
$$;
revoke execute on function mart.kpi(text, date, date, text, text, text, text) from public;
grant execute on function mart.kpi(text, date, date, text, text, text, text) to jm_dashboard;
