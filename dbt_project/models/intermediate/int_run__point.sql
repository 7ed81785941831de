-- depends_on: {{ ref('int_run__event') }} {{ ref('line_duplicate') }} {{ ref('line_bot') }}
-- Moments this run adds to or takes from a visitor's history. Empty when everything is computed anew.
{% if is_full() -%}
select
    visitor_key,
    customer_key,
    event_at,
    false as is_withdrawn
from {{ source('raw', 'event') }}
where false
{%- else -%}
select
    e.visitor_key,
    e.customer_key,
    e.event_at,
    false as is_withdrawn
from {{ new_lines('event') }} as e
where
    not exists (select from {{ computed('line_duplicate') }} as d where d.row_id = e.row_id)
    and not exists (select from {{ computed('line_bot') }} as b where b.row_id = e.row_id)
union all
-- a published line gives way to one that happened earlier and landed later
select
    e.visitor_key,
    e.customer_key,
    e.event_at,
    true as is_withdrawn
from {{ computed('line_duplicate') }} as d
inner join {{ source('raw', 'event') }} as e on d.row_id = e.row_id
where not {{ is_new('e.row_id') }}
{%- if has_gone() %}
union all
select
    e.visitor_key,
    e.customer_key,
    e.event_at,
    true as is_withdrawn
from {{ gone_lines('event') }} as e
{%- endif %}
{%- endif %}
