{{ config(materialized='mart_view') }}
select
    s.session_id,
    v.visitor_id,
    c.customer_id,
    s.started_at,
    s.ended_at,
    s.session_date,
    s.events,
    s.pages,
    extract(epoch from s.ended_at - s.started_at)::double precision as duration_seconds,
    f.node as entry_node,
    l.node as exit_node,
    a.channel,
    a.domain,
    a.device_type,
    i.utm_source,
    i.utm_medium,
    i.utm_campaign,
    coalesce(i.inflow_channel, 'direct') as inflow_channel,
    s.events = 1 as is_bounce,
    s.errors,
    s.transactions,
    s.failed_transactions,
    s.transactions > s.failed_transactions as is_converted,
    s.amount_krw,
    length(s.path) as path_length,
    s.visitor_key,
    s.customer_key,
    s.identity_rule,
    s.exit_node_id,
    s.exit_menu,
    s.inflow_key,
    -- the same in every row: nothing is kept (docs/adr/0012-versions-of-a-publication.md)
    (select p.session_policy_version from {{ ref('publication_latest') }} as p) as session_policy_version,
    (select p.identity_version from {{ ref('publication_latest') }} as p) as identity_version
from {{ ref('session_fact') }} as s
left join {{ source('raw', 'visitor') }} as v on s.visitor_key = v.visitor_key
left join {{ source('raw', 'customer') }} as c on s.customer_key = c.customer_key
left join {{ source('raw', 'node') }} as f on s.entry_node_id = f.node_id
left join {{ source('raw', 'node') }} as l on s.exit_node_id = l.node_id
left join {{ source('raw', 'agent') }} as a on s.agent_key = a.agent_key
left join {{ ref('inflow') }} as i on s.inflow_key = i.inflow_key
