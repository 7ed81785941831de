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
        s.subject_key
    from definition as d
    inner join build.int_funnel__subject as s on d.funnel_id = s.funnel_id
),

-- what they did is looked up once for all funnels (`offset 0`: by person), and counted together below rather than
-- joined: the planner takes the subjects for few, and would compare each with all matches and all entries
did as materialized (
    select distinct
        p.subject_key,
        m.condition_id
    from (select distinct s.subject_key from subject as s) as p
    cross join lateral (
        select o.condition_id
        from next.step_match as o
        where o.person_key = p.subject_key
        offset 0
    ) as m
    where m.condition_id in (select d.condition_id from definition as d)
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
        bool_or(u.what = 'did') and bool_or(u.what = 'subject') as has_done,
        bool_or(u.what = 'entered') as has_entered
    from (
        select
            s.funnel_id,
            s.subject_key,
            'subject' as what
        from subject as s
        union all
        select
            f.funnel_id,
            d.subject_key,
            'did' as what
        from did as d
        inner join definition as f on d.condition_id = f.condition_id
        union all
        select
            e.funnel_id,
            e.subject_key,
            'entered' as what
        from entered as e
    ) as u
    group by u.funnel_id, u.subject_key
)

select
    p.funnel_id,
    count(*) filter (where not p.has_entered) as did_without_entry,
    count(*) filter (where not p.has_done) as entered_without_match
from person as p
where p.has_entered <> p.has_done
group by p.funnel_id
order by p.funnel_id
