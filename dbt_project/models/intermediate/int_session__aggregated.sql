-- Sessions computed in this run, before transactions join them.
select
    visitor_key,
    started_at,
    max(event_at) as ended_at,
    case when min(customer_key) = max(customer_key) then min(customer_key) end as customer_key,
    count(customer_key) > 0 as has_login,
    count(*)::integer as events,
    count(*) filter (where action_id = 1)::integer as pages,
    count(error_key)::integer as errors,
    max(agent_key) filter (where event_no = 1) as agent_key,
    max(inflow_key) filter (where event_no = 1) as inflow_key,
    string_agg(raw.node_char(node_id), '' order by event_at, row_id) filter (where is_move) as path,
    array_agg(event_at order by event_at, row_id) filter (where is_move) as path_times
from {{ computed('session_event') }}
group by visitor_key, started_at
