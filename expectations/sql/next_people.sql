-- Who enters a funnel is who has done its first step, be it for a segment, a cohort or a path: two ways to the same
-- people, asked of everyone whom the run computed. Only of funnels in which nothing but the first step decides.
with definition as (
    select
        definition_id as funnel_id,
        content -> 'steps' -> 0 ->> 'condition_id' as condition_id
    from config.definition
    where
        kind = 'funnels'
        and retired_at is null
        and content ->> 'count_by' = 'person'
        and content ->> 'order' <> 'any'
        and content ->> 'exclusion_mode' = 'end_attempt'
        and jsonb_array_length(content -> 'hold') = 0
),

subject as (
    select
        d.funnel_id,
        d.condition_id,
        s.subject_key
    from definition as d
    inner join build.int_funnel__subject as s on d.funnel_id = s.funnel_id
),

did as (
    select distinct
        s.funnel_id,
        s.subject_key
    from subject as s
    inner join next.step_match as m on s.subject_key = m.person_key and s.condition_id = m.condition_id
),

entered as (
    select
        s.funnel_id,
        s.subject_key
    from subject as s
    inner join next.funnel_entry as e on s.funnel_id = e.funnel_id and s.subject_key = e.subject_key
)

select
    coalesce(d.funnel_id, e.funnel_id) as funnel_id,
    count(d.subject_key) as did_without_entry,
    count(e.subject_key) as entered_without_match
from did as d
full join entered as e on d.funnel_id = e.funnel_id and d.subject_key = e.subject_key
where d.subject_key is null or e.subject_key is null
group by coalesce(d.funnel_id, e.funnel_id)
order by funnel_id
