{{ config(materialized='mart_view') }}
with matched as (
    select
        d.definition_id,
        d.version,
        d.content,
        n.match_date,
        coalesce(sum(n.matches) filter (where n.condition_id = d.content ->> 'count'), 0)::bigint as value,
        (sum(n.matches) filter (where n.condition_id = d.content ->> 'per'))::bigint as base
    from {{ ref('definition') }} as p
    inner join {{ source('config', 'definition') }} as d
        on p.kind = d.kind and p.definition_id = d.definition_id and p.version = d.version
    inner join {{ ref('step_daily') }} as n on n.condition_id in (d.content ->> 'count', d.content ->> 'per')
    where p.kind = 'kpis'
    group by d.definition_id, d.version, d.content, n.match_date
)

select
    m.definition_id as kpi_id,
    m.version,
    m.content #>> '{label,ko}' as label_ko,
    m.content #>> '{label,en}' as label_en,
    m.content ->> 'owner' as owner,
    m.match_date as kpi_date,
    m.value,
    m.base,
    m.value / m.base::double precision as rate
from matched as m
