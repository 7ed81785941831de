-- Steps of the applied funnels, from 1.
with step as (
    select
        d.definition_id as funnel_id,
        s.step_no::integer as step_no,
        raw.funnel_step_name(d.content, s.step_no) as step_name,
        (s.step ->> 'optional')::boolean as is_optional,
        (s.step ->> 'has_amount')::boolean or d.content ->> 'order' = 'any' as has_amount
    from {{ source('config', 'definition') }} as d
    cross join lateral jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
    where d.kind = 'funnels' and d.retired_at is null
)

select
    s.*,
    (
        select min(n.step_no)
        from step as n
        where n.funnel_id = s.funnel_id and n.step_no > s.step_no and not n.is_optional
    ) as next_step_no
from step as s
