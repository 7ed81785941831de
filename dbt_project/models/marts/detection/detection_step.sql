{{ config(materialized='mart_view') }}
-- The steps of a rule are a funnel of the same id, so both reports say the same.
select
    f.funnel_id as rule_id,
    d.version,
    f.entry_date as detection_date,
    f.step_no,
    f.step_name,
    f.entered,
    f.converted,
    r.detected,
    r.goal_reached
from {{ ref('funnel_step') }} as f
inner join {{ ref('definition') }} as d on f.funnel_id = d.definition_id and d.kind = 'rules'
cross join lateral (
    select
        count(*) filter (
            where exists (
                select from {{ ref('detection') }} as h
                where h.rule_id = e.funnel_id and h.subject_key = e.subject_key
            )
        ) as detected,
        count(*) filter (
            where exists (
                select from {{ ref('detection') }} as h
                where h.rule_id = e.funnel_id and h.subject_key = e.subject_key and h.goal_at is not null
            )
        ) as goal_reached
    from {{ ref('funnel_entry') }} as e
    where
        e.funnel_id = f.funnel_id
        and e.entry_date = f.entry_date
        and e.step_times[f.step_no] is not null
) as r
where raw.may_see_rows(d.owner)
