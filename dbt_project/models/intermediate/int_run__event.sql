{{ config(indexes=[['event_hash']]) }}
-- Clickstream lines that are new in a run of changes, as a small table of known size: the planner then looks up what
-- they touch instead of reading whole tables. One index range of raw per file or replayed line.
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
from (
    select
        file_id::bigint << 32 as first_row,
        (file_id::bigint << 32) + 4294967295 as last_row
    from build.run_file
    union all
    select
        row_id as first_row,
        row_id as last_row
    from build.run_line
    where is_single
) as f
-- Looked up one by one: a run that only takes away has a few lines here, for which a join would read all of raw.
{{ look_up(source('raw', 'event'), 'r', 'r.row_id between f.first_row and f.last_row') }}
where {{ 'false' if is_full() else 'true' }} {{ 'and not ' ~ is_gone('r.row_id') if has_gone() }}
