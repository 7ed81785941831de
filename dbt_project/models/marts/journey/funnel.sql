{{ config(materialized='mart_view') }}
-- As published: names for reports, which show the numbers of that version.
select
    d.definition_id as funnel_id,
    d.version,
    d.content #>> '{label,ko}' as label_ko,
    d.content #>> '{label,en}' as label_en,
    d.content ->> 'owner' as owner,
    d.content ->> 'count_by' as count_by,
    jsonb_array_length(d.content -> 'steps') as steps,
    array(
        select case d.content ->> 'order' when 'any' then s.step_no || '개 단계' else s.step ->> 'name' end
        from jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
        order by s.step_no
    ) as step_names_ko,
    array(
        select
            case d.content ->> 'order'
                when 'any' then s.step_no || case s.step_no when 1 then ' step' else ' steps' end
                else coalesce(s.step ->> 'name_en', s.step ->> 'name')
            end
        from jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
        order by s.step_no
    ) as step_names_en,
    (d.content ->> 'window_seconds')::double precision / 86400 as window_days
from {{ ref('definition') }} as p
inner join {{ source('config', 'definition') }} as d
    on p.kind = d.kind and p.definition_id = d.definition_id and p.version = d.version
where p.kind = 'funnels'
