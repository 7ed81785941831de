-- A link to a dashboard with its filters set, for the tables of other dashboards: `filters` has values by name, a
-- filter's name being that of its column, one or an array of several; `period` is a range of time. Names come from
-- definitions and data: every byte of a value is percent-encoded, and of the text what HTML would read, so none can
-- leave its place.
create or replace function mart.dashboard_link(slug text, filters jsonb, shown text)
returns text
language sql immutable parallel safe
as $$
    select
        '<a href="/superset/dashboard/' || dashboard_link.slug || '/?native_filters=('
        || string_agg(
            'NATIVE_FILTER-' || f.name || ':(extraFormData:('
            || case f.name
                when 'period' then 'time_range:' || v.value
                else 'filters:!((col:' || f.name || ',op:IN,val:!(' || v.value || ')))'
            end
            || '),filterState:(value:' || case f.name when 'period' then v.value else '!(' || v.value || ')' end
            || '),id:NATIVE_FILTER-' || f.name || ',ownState:())',
            ',' order by f.name
        )
        || ')">' || replace(replace(replace(dashboard_link.shown, '&', '&amp;'), '<', '&lt;'), '>', '&gt;') || '</a>'
    from jsonb_each(dashboard_link.filters) as f (name, chosen)
    cross join lateral (
        -- In the address a value stands in quotes, and ! goes before a quote or another !.
        select
            string_agg(
                '''' || regexp_replace(
                    encode(convert_to(regexp_replace(e.value, '([''!])', '!\1', 'g'), 'UTF8'), 'hex'), '(..)', '%\1', 'g'
                ) || '''',
                ',' order by e.place
            ) as value
        from jsonb_array_elements_text(
            case jsonb_typeof(f.chosen) when 'array' then f.chosen else jsonb_build_array(f.chosen) end
        ) with ordinality as e (value, place)
    ) as v
    where v.value is not null
$$;
revoke execute on function mart.dashboard_link(text, jsonb, text) from public;
grant execute on function mart.dashboard_link(text, jsonb, text) to jm_dashboard;
