-- Sessions computed in this run, and whom they belong to, before transactions join them.
{% set days = session_policy().get('device_days') %}
with session as (
    select
        visitor_key,
        started_at,
        max(event_at) as ended_at,
        case when min(customer_key) = max(customer_key) then min(customer_key) end as login_key,
        count(customer_key) > 0 as has_login,
        count(*)::integer as events,
        count(*) filter (where action_id = 1)::integer as pages,
        count(error_key)::integer as errors,
        max(agent_key) filter (where event_no = 1) as agent_key,
        max(inflow_key) filter (where event_no = 1) as inflow_key,
        string_agg(raw.node_char(node_id), '' order by event_at, row_id) filter (where is_move) as path,
        array_agg(event_at order by event_at, row_id) filter (where is_move) as path_times,
        max(event_at) filter (where action_id = 10) as exit_at,
        (array_agg(row_id order by event_at desc, row_id desc) filter (where action_id = 10))[1] as exit_row
    from {{ computed('session_event') }}
    group by visitor_key, started_at
),

-- A login labels the session it happens in. What was done on a device without one belongs to the customer who used it
-- within the look-back, if it was exactly one, and nobody said that it does not.
device as (
    select
        s.visitor_key,
        s.started_at,
        min(l.customer_key) as customer_key,
        case
            when count(u.visitor_key) > 0 then 'unlinked'
            when min(l.customer_key) = max(l.customer_key) then 'device'
            else 'shared'
        end as identity_rule
    from session as s
    {{ look_up(
        ref('device_login'), 'l',
        's.visitor_key = l.visitor_key and l.login_date >= ' ~ business_date('s.started_at') ~ ' - ' ~ (days or 0)
        ~ ' and l.login_date <= ' ~ business_date('s.started_at') ~ ' + ' ~ (days or 0)
    ) }}
    left join {{ ref('unlinked_device') }} as u on s.visitor_key = u.visitor_key
    where {{ 'false' if days is none else 'not s.has_login' }}
    group by s.visitor_key, s.started_at
)

select
    s.visitor_key,
    s.started_at,
    s.ended_at,
    case d.identity_rule when 'device' then d.customer_key else s.login_key end as customer_key,
    case when s.login_key is not null then 'login' when s.has_login then 'shared' else d.identity_rule end
        as identity_rule,
    s.events,
    s.pages,
    s.errors,
    s.agent_key,
    s.inflow_key,
    s.path,
    s.path_times,
    x.exit_menu
from session as s
left join device as d on s.visitor_key = d.visitor_key and s.started_at = d.started_at
-- one by one: what a session ended with, if with an exit, is one line of a table of all that was landed
left join lateral (
    select left(w.exit_menu, 256) as exit_menu
    from {{ source('raw', 'clickstream') }} as w
    where w.row_id = s.exit_row and s.exit_at = s.ended_at
    offset 0
) as x on true
