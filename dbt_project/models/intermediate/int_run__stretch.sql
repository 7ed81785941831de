-- depends_on: {{ ref('int_run__event') }} {{ ref('line_duplicate') }} {{ ref('line_bot') }}
-- When this run adds to a visitor's history or takes from it: moments with no silence between them are one stretch,
-- with a row for each customer who logged in in it and one for all that is without a login. Empty when everything is
-- computed anew.
{% if is_full() -%}
select
    visitor_key,
    0::bigint as stretch_no,
    customer_key,
    false as is_withdrawn,
    event_at as first_at,
    event_at as last_at
from {{ source('raw', 'event') }}
where false
{%- else -%}
with moment as (
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
),

parted as (
    select
        *,
        event_at - lag(event_at) over (partition by visitor_key order by event_at)
        <= {{ seconds(session_policy().timeout_seconds) }} as goes_on
    from moment
),

numbered as (
    select
        *,
        count(*) filter (where goes_on is not true) over (
            partition by visitor_key order by event_at rows unbounded preceding
        ) as stretch_no
    from parted
)

select
    visitor_key,
    stretch_no,
    customer_key,
    is_withdrawn,
    min(event_at) as first_at,
    max(event_at) as last_at
from numbered
group by visitor_key, stretch_no, customer_key, is_withdrawn
{%- endif %}
