-- A key number by day, both dates included; refuses one that is not defined.
create or replace function mart.kpi(kpi text, from_date date default null, to_date date default null)
returns table (kpi_date date, value bigint, base bigint, rate double precision)
language plpgsql stable security definer rows 100 set search_path = ''
as $$
#variable_conflict use_column
begin
    if not exists (
        select from mart.definition as d where d.kind = 'kpis' and d.definition_id = kpi.kpi
    ) then
        raise exception 'there is no key number ''%''', kpi.kpi using errcode = '22023';
    end if;
    return query
    select k.kpi_date, k.value, k.base, k.rate
    from mart.kpi_daily as k
    where
        k.kpi_id = kpi.kpi
        and k.kpi_date >= coalesce(kpi.from_date, '-infinity')
        and k.kpi_date <= coalesce(kpi.to_date, 'infinity')
    order by k.kpi_date;
end
$$;
revoke execute on function mart.kpi(text, date, date) from public;
grant execute on function mart.kpi(text, date, date) to jm_dashboard;
