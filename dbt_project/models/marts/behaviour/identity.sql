{{ config(materialized='mart_view') }}
-- Each assignment with the lines that prove it; for a shared or unlinked device, those that speak for somebody.
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
inner join {{ ref('device_login') }} as l
    on
        s.visitor_key = l.visitor_key
        and l.login_date >= s.session_date - {{ days }}
        and l.login_date <= greatest(s.session_date + {{ days }}, {{ business_date('s.ended_at') }})
inner join {{ source('raw', 'visitor') }} as v on s.visitor_key = v.visitor_key
inner join {{ source('raw', 'customer') }} as k on l.customer_key = k.customer_key
left join {{ source('raw', 'customer') }} as c on s.customer_key = c.customer_key
where
    s.identity_rule is not null
    and (
        s.identity_rule in ('shared', 'unlinked')
        or (
            l.customer_key = s.customer_key
            and (
                s.identity_rule = 'device'
                or l.login_date between s.session_date and {{ business_date('s.ended_at') }}
            )
        )
    )
