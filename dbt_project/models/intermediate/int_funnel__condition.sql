-- What counts for each funnel: bit 0 … of its steps, bit 32 … of its exclusions, none of what ends strict attempts.
select
    c.funnel_id,
    c.condition_id,
    bit_or(c.bits) as bits
from (
    select
        d.definition_id as funnel_id,
        s.step ->> 'condition_id' as condition_id,
        1::bigint << (s.step_no - 1)::integer as bits
    from {{ source('config', 'definition') }} as d
    cross join lateral jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
    where d.kind = 'funnels' and d.retired_at is null
    union all
    select
        d.definition_id as funnel_id,
        x.exclusion ->> 'condition_id' as condition_id,
        1::bigint << (31 + x.exclusion_no)::integer as bits
    from {{ source('config', 'definition') }} as d
    cross join lateral jsonb_array_elements(d.content -> 'exclusions') with ordinality as x (exclusion, exclusion_no)
    where d.kind = 'funnels' and d.retired_at is null
    union all
    select
        d.definition_id as funnel_id,
        o.condition_id,
        0 as bits
    from {{ source('config', 'definition') }} as d
    cross join lateral jsonb_array_elements_text(d.content -> 'others') as o (condition_id)
    where d.kind = 'funnels' and d.retired_at is null
) as c
group by c.funnel_id, c.condition_id
