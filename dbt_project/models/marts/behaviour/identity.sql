{{ config(materialized='mart_view') }}
-- Each assignment with the lines that prove it: of those who logged in during the session, a line of that very session;
-- where nobody did, one of each day on which the device speaks for somebody, also for a shared or unlinked device.
{% set days = session_policy().device_days or 0 %}
select
    s.session_id,
    v.visitor_id,
    s.started_at,
    c.customer_id,
    s.identity_rule,
    k.customer_id as evidence_customer_id,
    l.login_date as evidence_date,
    (l.row_id >> 32)::integer as file_id,
    l.row_id & 4294967295 as line_no,
    s.visitor_key
from {{ ref('session_fact') }} as s
cross join lateral (
    select
        e.customer_key,
        {{ business_date('e.event_at') }} as login_date,
        min(e.row_id) as row_id
    from {{ ref('session_event') }} as e
    where
        s.identity_rule in ('login', 'shared')
        and e.visitor_key = s.visitor_key
        and e.event_at between s.started_at and s.ended_at
        and e.customer_key is not null
    group by 1, 2
    union all
    select
        d.customer_key,
        d.login_date,
        d.row_id
    from {{ ref('device_login') }} as d
    where
        s.identity_rule in ('device', 'shared', 'unlinked')
        and d.visitor_key = s.visitor_key
        and d.login_date between s.session_date - {{ days }} and s.session_date + {{ days }}
        and not exists (
            select from {{ ref('session_event') }} as e
            where
                s.identity_rule = 'shared'
                and e.visitor_key = s.visitor_key
                and e.event_at between s.started_at and s.ended_at
                and e.customer_key is not null
        )
) as l
inner join {{ source('raw', 'visitor') }} as v on s.visitor_key = v.visitor_key
inner join {{ source('raw', 'customer') }} as k on l.customer_key = k.customer_key
left join {{ source('raw', 'customer') }} as c on s.customer_key = c.customer_key
where s.identity_rule is not null
