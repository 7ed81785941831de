-- What the applied segments ask for, each thing once.
select distinct
    l.leaf ->> 'leaf_id' as leaf_id,
    l.leaf ->> 'condition_id' as condition_id,
    (l.leaf ->> 'at_least')::integer as at_least,
    make_interval(secs => (l.leaf ->> 'within_seconds')::double precision) as time_within
from {{ source('config', 'definition') }} as d
cross join lateral jsonb_array_elements(d.content -> 'leaves') as l (leaf)
where d.kind = 'segments' and d.retired_at is null
