{{ config(materialized='mart_view') }}
-- Left joins on unique keys: Postgres leaves out those whose columns a query does not ask for.
select
    d.event_id,
    e.event_at,
    v.visitor_id,
    c.customer_id,
    s.session_id,
    e.event_no,
    n.node,
    case when n.kind = 'page' then n.code end as page_code,
    n.name as page_name,
    t.action_type,
    a.domain,
    a.channel,
    r.error_code,
    r.error_page,
    b.agent_key is not null as is_bot,
    (e.row_id >> 32)::integer as file_id,
    e.row_id & 4294967295 as line_no,
    e.visitor_key,
    e.started_at,
    e.row_id
from {{ ref('session_event') }} as e
left join {{ ref('session_fact') }} as s on e.visitor_key = s.visitor_key and e.started_at = s.started_at
left join {{ ref('node') }} as n on e.node_id = n.node_id
left join {{ ref('bot_agent') }} as b on e.agent_key = b.agent_key
left join {{ source('raw', 'clickstream') }} as d on e.row_id = d.row_id
left join {{ source('raw', 'visitor') }} as v on e.visitor_key = v.visitor_key
left join {{ source('raw', 'customer') }} as c on coalesce(s.customer_key, e.customer_key) = c.customer_key
left join {{ source('raw', 'action') }} as t on e.action_id = t.action_id
left join {{ source('raw', 'agent') }} as a on e.agent_key = a.agent_key
left join {{ source('raw', 'error') }} as r on e.error_key = r.error_key
