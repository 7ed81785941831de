-- A funnel as its published version defines it; an error with the known ones if there is none. For a report on a funnel
-- of another department null, so that the functions of funnels give it no rows.
create or replace function mart.funnel_definition(funnel_id text)
returns jsonb
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    found jsonb;
begin
    select d.content
    into found
    from mart.definition as p
    inner join config.definition as d using (kind, definition_id, version)
    where p.kind = 'funnels' and p.definition_id = funnel_definition.funnel_id;
    if found is null then
        raise exception 'there is no funnel %; there are %', funnel_definition.funnel_id, coalesce((
            select string_agg(p.definition_id, ', ' order by p.definition_id)
            from mart.definition as p
            where p.kind = 'funnels' and p.definition_id not like 'DR-%' -- the steps of rules are reported as funnels
        ), 'none') using errcode = '22023';
    end if;
    return case when raw.may_see_rows(found ->> 'owner') then found end;
end
$$;
revoke execute on function mart.funnel_definition(text) from public;
