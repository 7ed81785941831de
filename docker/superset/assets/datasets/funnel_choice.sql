select
    funnel.owner,
    case {{ [language] | where_in }} when 'ko' then funnel.label_ko else funnel.label_en end as funnel,
    coalesce(sum(step.entered) filter (where step.step_no = 1), 0) as entered
from mart.funnel as funnel
left join mart.funnel_step as step
    on funnel.funnel_id = step.funnel_id and funnel.version = step.version and step.segment_id = 'all'
where funnel.funnel_id like 'FN-%'
group by 1, 2
