-- Who takes a step of a funnel has done it, be it for a segment, a cohort or a path; and who has done the first one has
-- entered, where nothing but the first step decides. Two ways to the same people, asked of all whom the run computed;
-- about the later steps, of many entries, some hundred thousand: those of every n-th person.
with sample as (
    select greatest(1, count(*) / 100000)::integer as every
    from build.funnel_entry
),

definition as (
    select
        d.definition_id as funnel_id,
        s.step_no::integer as step_no,
        s.step ->> 'condition_id' as condition_id,
        s.step_no = 1
        and d.content ->> 'count_by' = 'person'
        and d.content ->> 'exclusion_mode' = 'end_attempt'
        and jsonb_array_length(d.content -> 'hold') = 0 as is_decisive
    from config.definition as d
    cross join lateral jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
    -- in any order, the steps taken are not those of the list one by one
    where
        d.kind = 'funnels'
        and d.retired_at is null
        and d.content ->> 'count_by' in ('person', 'attempt')
        and d.content ->> 'order' <> 'any'
        -- what somebody did is compared with the funnels that the run computes, not with all that ask for it
        and d.definition_id in (select t.funnel_id from build.int_funnel__subject as t)
),

subject as (
    select
        d.funnel_id,
        s.subject_key
    from (select distinct o.funnel_id from definition as o) as d
    inner join build.int_funnel__subject as s on d.funnel_id = s.funnel_id
),

-- what they did is looked up once for all funnels, in one walk through the index by person, and counted together below
-- rather than joined: the planner takes the subjects for few, and would compare each with all matches and all entries
did as materialized (
    select distinct
        m.person_key as subject_key,
        m.condition_id
    from next.step_match as m
    where
        m.person_key = any(array(select s.subject_key from subject as s))
        and (
            m.condition_id in (select d.condition_id from definition as d where d.step_no = 1)
            or (
                m.person_key % (select every from sample) = 0
                and m.condition_id in (select d.condition_id from definition as d)
            )
        )
),

person as (
    select
        u.funnel_id,
        u.step_no,
        u.subject_key,
        bool_or(u.what = 'did') as has_done,
        bool_or(u.what = 'subject') as is_subject,
        bool_or(u.what = 'taken') as has_taken
    from (
        select
            s.funnel_id,
            1 as step_no,
            s.subject_key,
            'subject' as what
        from subject as s
        union all
        select
            f.funnel_id,
            f.step_no,
            d.subject_key,
            'did' as what
        from did as d
        inner join definition as f on d.condition_id = f.condition_id
        union all
        -- what the run computed is of these subjects and of nobody else
        select
            e.funnel_id,
            f.step_no,
            e.subject_key,
            'taken' as what
        from build.funnel_entry as e
        inner join definition as f on e.funnel_id = f.funnel_id
        where
            e.step_times[f.step_no] is not null
            and (f.step_no = 1 or e.subject_key % (select every from sample) = 0)
    ) as u
    group by u.funnel_id, u.step_no, u.subject_key
)

select
    p.funnel_id,
    p.step_no,
    count(*) filter (where not p.has_taken) as did_without_entry,
    count(*) filter (where p.has_taken) as taken_without_match
from person as p
inner join definition as d on p.funnel_id = d.funnel_id and p.step_no = d.step_no
where
    (p.has_taken and not p.has_done)
    or (d.is_decisive and p.is_subject and p.has_done and not p.has_taken)
group by p.funnel_id, p.step_no
order by p.funnel_id, p.step_no
