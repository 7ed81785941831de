{{ config(
    key=['export_id', 'customer_key'],
    replaces="exists (
            select from build.int_audience__change as c
            where c.export_id = m.export_id and c.customer_key = m.customer_key
        )",
) }}
select
    c.export_id,
    c.customer_key,
    c.customer_id,
    c.is_held_out,
    c.op,
    c.row_hash,
    c.as_of,
    c.attributes
from {{ ref('int_audience__change') }} as c
where c.op <> 'D'
{%- if is_full() and is_published('audience_member') %}
union all
select
    m.export_id,
    m.customer_key,
    m.customer_id,
    m.is_held_out,
    m.op,
    m.row_hash,
    m.as_of,
    m.attributes
from {{ published('audience_member') }} as m
where
    not exists (
        select from {{ ref('int_audience__change') }} as c
        where c.export_id = m.export_id and c.customer_key = m.customer_key
    )
{%- endif %}
