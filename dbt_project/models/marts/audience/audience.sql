{{ config(materialized='mart_view', published_in='export', contract_version=1) }}
select
    d.definition_id as export_id,
    d.version,
    d.content #>> '{label,ko}' as name_ko,
    d.content #>> '{label,en}' as name_en,
    d.content ->> 'owner' as owner,
    d.content ->> 'purpose' as purpose,
    array(select jsonb_array_elements_text(d.content -> 'columns')) as attribute_names,
    d.content ->> 'schedule' as schedule,
    (d.content ->> 'file')::boolean as is_file,
    e.export_no,
    e.as_of,
    e.members
from {{ source('config', 'definition') }} as d
inner join {{ ref('definition') }} as n
    on d.kind = n.kind and d.definition_id = n.definition_id and d.version = n.version
left join lateral (
    select
        x.export_no,
        x.as_of,
        x.members
    from {{ ref('audience_export') }} as x
    where x.export_id = d.definition_id
    order by x.export_no desc
    limit 1
) as e on true
where d.kind = 'audiences'
