-- Steps of the applied funnels, from 1; exclusions are step 0.
select
    d.definition_id as funnel_id,
    s.step_no::integer as step_no,
    s.step ->> 'name' as step_name,
    s.step ->> 'condition_id' as condition_id
from {{ source('config', 'definition') }} as d
cross join lateral jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
where d.kind = 'funnels' and d.retired_at is null
union all
select
    d.definition_id as funnel_id,
    0 as step_no,
    null as step_name,
    x.condition_id
from {{ source('config', 'definition') }} as d
cross join lateral jsonb_array_elements_text(d.content -> 'exclusions') as x (condition_id)
where d.kind = 'funnels' and d.retired_at is null
