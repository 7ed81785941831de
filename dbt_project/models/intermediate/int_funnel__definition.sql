-- The applied funnels: one row each.
select
    definition_id as funnel_id,
    version,
    content ->> 'entry' as entry,
    content ->> 'count_by' as count_by,
    make_interval(secs => (content ->> 'window_seconds')::double precision) as time_window,
    jsonb_array_length(content -> 'steps') as steps
from {{ source('config', 'definition') }}
where kind = 'funnels' and retired_at is null
