{{ config(materialized='mart_view') }}
select
    d.definition_id as segment_id,
    d.version,
    d.content #>> '{label,ko}' as name_ko,
    d.content #>> '{label,en}' as name_en,
    d.content ->> 'owner' as owner,
    (
        select count(*)
        from {{ ref('segment_member') }} as m
        where m.segment_id = d.definition_id and m.valid_to is null
    ) as members
from {{ ref('definition') }} as p
inner join {{ source('config', 'definition') }} as d
    on p.kind = d.kind and p.definition_id = d.definition_id and p.version = d.version
where p.kind = 'segments'
