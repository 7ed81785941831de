{{ config(
    key=['kind', 'definition_id'],
    replaces="not exists (
        select from config.definition as d
        where
            d.kind = m.kind and d.definition_id = m.definition_id and d.version = m.version and d.retired_at is null
    )",
) }}
select
    d.kind,
    d.definition_id,
    d.version,
    d.content #>> '{label,ko}' as label_ko,
    d.content #>> '{label,en}' as label_en,
    d.content ->> 'owner' as owner
from {{ source('config', 'definition') }} as d
where
    d.retired_at is null
    {%- if not is_full() %}
    and not exists (
        select from {{ published('definition') }} as m
        where m.kind = d.kind and m.definition_id = d.definition_id and m.version = d.version
    )
    {%- endif %}
