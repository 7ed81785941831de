{{ config(materialized='mart_view') }}
select
    d.definition_id as cohort_id,
    d.version,
    d.content #>> '{label,ko}' as name_ko,
    d.content #>> '{label,en}' as name_en,
    d.content ->> 'owner' as owner,
    d.content ->> 'start' as start_condition_id,
    d.content ->> 'return' as return_condition_id,
    d.content ->> 'entry' as entry,
    d.content ->> 'period' as period,
    d.content ->> 'mode' as mode,
    (d.content ->> 'ages')::integer as ages,
    array(select b::integer from jsonb_array_elements_text(d.content -> 'brackets') as b) as brackets
from {{ ref('definition') }} as p
inner join {{ source('config', 'definition') }} as d
    on p.kind = d.kind and p.definition_id = d.definition_id and p.version = d.version
where p.kind = 'cohorts'
