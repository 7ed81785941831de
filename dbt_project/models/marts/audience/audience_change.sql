{{ config(
    key=['export_id', 'export_no', 'customer_key', 'is_held_out'],
    replaces='false',
    indexes=[['export_id', 'customer_key']],
) }}
select
    c.export_id,
    c.export_no,
    c.version,
    c.customer_key,
    c.is_held_out,
    c.customer_id,
    c.op,
    c.row_hash,
    c.as_of,
    c.attributes
from {{ ref('int_audience__change') }} as c
{%- if is_full() and is_published('audience_change') %}
union all
select
    m.export_id,
    m.export_no,
    m.version,
    m.customer_key,
    m.is_held_out,
    m.customer_id,
    m.op,
    m.row_hash,
    m.as_of,
    m.attributes
from {{ published('audience_change') }} as m
{%- endif %}
