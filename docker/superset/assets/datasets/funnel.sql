-- Two versions of a definition are two different questions: only the current one is shown.
select
    step.entry_date,
    step.funnel_id,
    funnel.owner,
    case {{ [language] | where_in }} when 'ko' then funnel.label_ko else funnel.label_en end as funnel,
    step.step_no,
    step.step_no || '. ' || step.step_name as step,
    step.entered,
    case when step.step_no = funnel.steps then step.converted end as finished,
    step.dropped,
    step.still_open,
    step.median_seconds
from mart.funnel_step as step
inner join mart.funnel as funnel on step.funnel_id = funnel.funnel_id and step.version = funnel.version
where step.segment_id = 'all'
