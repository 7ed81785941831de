{{ config(materialized='mart_view') }}
select
    definition_id as cohort_id,
    version,
    content #>> '{label,ko}' as name_ko,
    content #>> '{label,en}' as name_en,
    content ->> 'owner' as owner,
    content ->> 'start' as start_condition_id,
    content ->> 'return' as return_condition_id,
    content ->> 'entry' as entry,
    content ->> 'period' as period,
    content ->> 'mode' as mode,
    (content ->> 'ages')::integer as ages,
    array(select b::integer from jsonb_array_elements_text(content -> 'brackets') as b) as brackets
from {{ source('config', 'definition') }}
where kind = 'cohorts' and retired_at is null
