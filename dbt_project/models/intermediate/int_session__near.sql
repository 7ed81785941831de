-- depends_on: {{ ref('unlinked_device') }}
-- Published sessions that a new or withdrawn event may extend, join or shorten, and those that it, or what was said of
-- their device, may give to another customer.
{% set gap = seconds(session_policy().timeout_seconds) %}
{% set days = session_policy().get('device_days') %}
{% if is_full() -%}
select
    visitor_key,
    now() as started_at,
    now() as ended_at
from {{ ref('int_run__stretch') }}
where false
{%- else -%}
select
    s.visitor_key,
    s.started_at,
    s.ended_at
from (
    select
        visitor_key,
        min(first_at) as first_at,
        max(last_at) as last_at
    from {{ ref('int_run__stretch') }}
    group by visitor_key, stretch_no
) as p
-- Sessions of a visitor follow each other: of those that start earlier than the timeout before, only the last can
-- reach this far. Two short index ranges, however long the visitor's history is.
cross join lateral (
    (
        select
            f.visitor_key,
            f.started_at,
            f.ended_at
        from {{ published('session_fact') }} as f
        where f.visitor_key = p.visitor_key and f.started_at < p.first_at - {{ gap }}
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
        and f.started_at between p.first_at - {{ gap }} and p.last_at + {{ gap }}
) as s
where s.ended_at >= p.first_at - {{ gap }}
{%- if days is not none %}
union
-- whom a session without a login belongs to changes with the logins around it, unless they say what is known
select
    s.visitor_key,
    s.started_at,
    s.ended_at
from (
    select distinct
        visitor_key,
        customer_key,
        is_withdrawn,
        {{ business_date('first_at') }} as first_date,
        {{ business_date('last_at') }} as last_date
    from {{ ref('int_run__stretch') }}
    where customer_key is not null
) as p
{{ look_up(
    published('session_fact'), 's',
    'p.visitor_key = s.visitor_key and s.started_at >= ' ~ midnight('(p.first_date - ' ~ days ~ ')')
    ~ ' and s.started_at < ' ~ midnight('(p.last_date + ' ~ (days + 1) ~ ')')
) }}
where
    s.identity_rule is distinct from 'login'
    and (p.is_withdrawn or s.customer_key is distinct from p.customer_key)
    and (p.is_withdrawn or s.identity_rule is null or s.identity_rule = 'device')
{%- endif %}
union
select
    s.visitor_key,
    s.started_at,
    s.ended_at
from {{ published('session_fact') }} as s
where
    s.identity_rule in ('device', 'shared', 'unlinked')
    and s.visitor_key in (
        select coalesce(u.visitor_key, m.visitor_key)
        from {{ ref('unlinked_device') }} as u
        full join {{ published('unlinked_device') }} as m on u.visitor_key = m.visitor_key
        where u.visitor_key is null or m.visitor_key is null
    )
{%- endif %}
