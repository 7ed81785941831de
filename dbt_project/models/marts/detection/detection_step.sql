{{ config(materialized='mart_view') }}
-- The steps of a rule are a funnel of the same id, so both reports say the same.
with hit as (
    select
        rule_id,
        subject_key,
        bool_or(goal_at is not null) as is_goal_reached
    from {{ ref('detection') }}
    group by rule_id, subject_key
),

reached as (
    select
        e.funnel_id,
        e.entry_date,
        t.step_no,
        count(*) as detected,
        count(*) filter (where h.is_goal_reached) as goal_reached
    from {{ ref('funnel_entry') }} as e
    inner join hit as h on e.funnel_id = h.rule_id and e.subject_key = h.subject_key
    cross join lateral unnest(e.step_times) with ordinality as t (reached_at, step_no)
    where t.reached_at is not null
    group by e.funnel_id, e.entry_date, t.step_no
)

select
    f.funnel_id as rule_id,
    d.version,
    f.entry_date as detection_date,
    f.step_no,
    f.step_name,
    f.entered,
    f.converted,
    coalesce(r.detected, 0) as detected,
    case when c.content ->> 'goal' is not null then coalesce(r.goal_reached, 0) end as goal_reached
from {{ ref('funnel_step') }} as f
inner join {{ ref('definition') }} as d on f.funnel_id = d.definition_id and d.kind = 'rules'
inner join {{ source('config', 'definition') }} as c
    on d.kind = c.kind and d.definition_id = c.definition_id and d.version = c.version
left join reached as r
    on f.funnel_id = r.funnel_id and f.entry_date = r.entry_date and f.step_no = r.step_no
where raw.may_see_rows(d.owner)
