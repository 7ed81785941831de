select
    rule.owner,
    case {{ [language] | where_in }} when 'ko' then rule.label_ko else rule.label_en end as rule,
    step.detection_date,
    step.step_no,
    step.step_no || ' · ' || step.step_name as step,
    step.entered,
    step.converted,
    step.detected,
    step.goal_reached
from mart.detection_step as step
inner join mart.definition as rule
    on step.rule_id = rule.definition_id and step.version = rule.version and rule.kind = 'rules'
