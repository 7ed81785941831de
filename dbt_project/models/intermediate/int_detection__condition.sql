-- What counts for each rule, and as what. place: 2n for step n, 2n + 1 for what must not happen before it, 1 for what
-- strict steps must not be parted by, 0 for what must be absent afterwards, -1 for the goal.
-- required: how often a step that is not optional must happen. The rest is what a step asks of what came before: the
-- same condition on another device and not on this one, or the amounts that are the habit.
with rule as (
    select
        definition_id as rule_id,
        content
    from {{ source('config', 'definition') }}
    where kind = 'rules' and retired_at is null
)

select
    r.rule_id,
    (s.step_no * 2)::smallint as place,
    s.step ->> 'condition_id' as condition_id,
    case when not (s.step ->> 'is_optional')::boolean then (s.step ->> 'gte')::integer end as required,
    (s.step ->> 'new_device')::boolean as is_new_device,
    (s.step ->> 'habit_times')::numeric as habit_times,
    make_interval(secs => (s.step ->> 'habit_seconds')::double precision) as habit_window,
    (s.step ->> 'habit_least')::integer as habit_least
from rule as r
cross join lateral jsonb_array_elements(r.content -> 'steps') with ordinality as s (step, step_no)
union
select
    r.rule_id,
    ((n.item ->> 'after_step')::integer * 2 + 3)::smallint as place,
    n.item ->> 'condition_id' as condition_id,
    null as required,
    false as is_new_device,
    null as habit_times,
    null as habit_window,
    null as habit_least
from rule as r
cross join lateral jsonb_array_elements(r.content -> 'nots') as n (item)
union
select
    r.rule_id,
    1::smallint as place,
    o.condition_id,
    null as required,
    false as is_new_device,
    null as habit_times,
    null as habit_window,
    null as habit_least
from rule as r
cross join lateral jsonb_array_elements_text(r.content -> 'others') as o (condition_id)
union
select
    r.rule_id,
    0::smallint as place,
    a.condition_id,
    null as required,
    false as is_new_device,
    null as habit_times,
    null as habit_window,
    null as habit_least
from rule as r
cross join lateral jsonb_array_elements_text(r.content -> 'absence') as a (condition_id)
union
select
    r.rule_id,
    -1::smallint as place,
    r.content #>> '{goal,condition_id}' as condition_id,
    null as required,
    false as is_new_device,
    null as habit_times,
    null as habit_window,
    null as habit_least
from rule as r
where r.content #>> '{goal,condition_id}' is not null
