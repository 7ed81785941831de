-- Published sessions that a new or withdrawn event may extend, join or shorten.
{% set gap = seconds(session_policy().timeout_seconds) %}
{% if is_full() -%}
select
    visitor_key,
    customer_key,
    now() as started_at,
    now() as ended_at
from {{ ref('int_run__point') }}
where false
{%- else -%}
select distinct
    s.visitor_key,
    s.customer_key,
    s.started_at,
    s.ended_at
from {{ ref('int_run__point') }} as p
inner join {{ published('session_fact') }} as s
    on
        p.visitor_key = s.visitor_key
        and s.started_at <= p.event_at + {{ gap }}
        and s.ended_at >= p.event_at - {{ gap }}
{%- endif %}
