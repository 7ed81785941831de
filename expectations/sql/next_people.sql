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

-- materialized, and counted together below rather than joined: the planner takes the subjects for few, and would
-- compare each with all matches and all entries
subject as materialized (
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

-- what the run computed is of these subjects and of nobody else
entered as (
    select
        e.funnel_id,
        e.subject_key
    from build.funnel_entry as e
    where e.funnel_id in (select d.funnel_id from definition as d)
),

person as (
    select
        u.funnel_id,
        u.subject_key,
        bool_or(u.has_done) as has_done,
        not bool_and(u.has_done) as has_entered
    from (
        select
            d.funnel_id,
            d.subject_key,
            true as has_done
        from did as d
        union all
        select
            e.funnel_id,
            e.subject_key,
            false as has_done
        from entered as e
    ) as u
    group by u.funnel_id, u.subject_key
)

select
    p.funnel_id,
    count(*) filter (where not p.has_entered) as did_without_entry,
    count(*) filter (where not p.has_done) as entered_without_match
from person as p
where not p.has_entered or not p.has_done
group by p.funnel_id
order by p.funnel_id
