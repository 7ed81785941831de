-- Published sessions that a new or withdrawn event may extend, join or shorten.
{% set gap = seconds(session_policy().timeout_seconds) %}
{% if is_full() -%}
select
    visitor_key,
    now() as started_at,
    now() as ended_at
from {{ ref('int_run__point') }}
where false
{%- else -%}
select distinct
    s.visitor_key,
    s.started_at,
    s.ended_at
from {{ ref('int_run__point') }} as p
-- Sessions of a visitor follow each other: of those that start earlier than the timeout before, only the last can
-- reach this far. Two short index ranges, however long the visitor's history is.
cross join lateral (
    (
        select
            f.visitor_key,
            f.started_at,
            f.ended_at
        from {{ published('session_fact') }} as f
        where f.visitor_key = p.visitor_key and f.started_at < p.event_at - {{ gap }}
        order by f.started_at desc
        limit 1
    )
    union all
    select
        f.visitor_key,
        f.started_at,
        f.ended_at
    from {{ published('session_fact') }} as f
    where
        f.visitor_key = p.visitor_key
        and f.started_at between p.event_at - {{ gap }} and p.event_at + {{ gap }}
) as s
where s.ended_at >= p.event_at - {{ gap }}
{%- endif %}
