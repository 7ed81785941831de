{{ config(
    key=['condition_id', 'source'],
    replaces="not exists (
        select from config.condition as c where c.condition_id = m.condition_id and c.source = m.source
    )",
) }}
select
    c.condition_id,
    c.source
from {{ source('config', 'condition') }} as c
{%- if not is_full() %}
where
    not exists (
        select from {{ published('step_condition') }} as m
        where c.condition_id = m.condition_id and c.source = m.source
    )
{%- endif %}
