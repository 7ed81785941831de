{{ config(indexes=[{'columns': ['event_hash']}]) }}
-- Clickstream lines that are new in a run of changes, as a small table of known size: the planner then looks up what
-- they touch instead of reading whole tables. One index range of raw per file.
select
    r.row_id,
    r.event_at,
    r.event_hash,
    r.visitor_key,
    r.customer_key,
    r.node_id,
    r.agent_key,
    r.inflow_key,
    r.error_key,
    r.action_id
from build.run_file as f
inner join {{ source('raw', 'event') }} as r
    on r.row_id between f.file_id::bigint << 32 and (f.file_id::bigint << 32) + 4294967295
where {{ 'false' if is_full() else 'true' }}
