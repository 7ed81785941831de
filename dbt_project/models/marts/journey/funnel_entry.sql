{{ config(
    key=['funnel_id', 'subject_key'],
    replaces="exists (
        select from build.int_funnel__subject as s where s.funnel_id = m.funnel_id and s.subject_key = m.subject_key
    )",
    indexes=[['funnel_id', 'entry_date']],
) }}
-- When each step was taken: the earliest match after the step before.
with recursive walked as (
    select
        r.funnel_id,
        r.subject_key,
        r.step_reached,
        r.entered_at,
        1 as step_no,
        min(m.match_no) as match_no,
        array[r.entered_at] as step_times
    from {{ ref('int_funnel__reached') }} as r
    inner join {{ ref('int_funnel__match') }} as m
        on
            r.funnel_id = m.funnel_id
            and r.subject_key = m.subject_key
            and m.step_no = 1
            and r.entered_at = m.matched_at
    group by r.funnel_id, r.subject_key, r.step_reached, r.entered_at
    union all
    select
        w.funnel_id,
        w.subject_key,
        w.step_reached,
        w.entered_at,
        n.step_no,
        n.match_no,
        w.step_times || n.matched_at
    from walked as w
    cross join lateral (
        select
            m.step_no,
            m.match_no,
            m.matched_at
        from {{ ref('int_funnel__match') }} as m
        where
            m.funnel_id = w.funnel_id
            and m.subject_key = w.subject_key
            and m.step_no = w.step_no + 1
            and m.match_no > w.match_no
        order by m.match_no
        limit 1
    ) as n
    where w.step_no < w.step_reached
)

select
    w.funnel_id,
    f.version,
    coalesce(c.customer_id, v.visitor_id) as subject_id,
    w.subject_key,
    w.entered_at,
    {{ business_date('w.entered_at') }} as entry_date,
    w.step_reached,
    w.step_times,
    case
        when w.step_reached = f.steps then 'converted'
        when w.entered_at + f.time_window < (select s.watermark_at from build.run_scope as s) then 'dropped'
        else 'open'
    end as status
from walked as w
inner join {{ ref('int_funnel__definition') }} as f on w.funnel_id = f.funnel_id
left join {{ source('raw', 'customer') }} as c on w.subject_key = c.customer_key
left join {{ source('raw', 'visitor') }} as v on -w.subject_key = v.visitor_key
where w.step_no = w.step_reached
