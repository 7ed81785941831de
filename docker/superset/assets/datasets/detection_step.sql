select
    rule.owner,
    case {{ [language] | where_in }} when 'ko' then rule.label_ko else rule.label_en end as rule,
    asked.detection_date,
    asked.step_no,
    asked.step_no || ' · ' || case {{ [language] | where_in }}
        when 'ko' then named.step_names_ko[asked.step_no]
        else named.step_names_en[asked.step_no]
    end as step,
    asked.entered,
    case when asked.step_no < named.steps then asked.converted end as converted,
    asked.detected,
    asked.goal_reached
from mart.detection_step as asked
inner join mart.definition as rule
    on asked.rule_id = rule.definition_id and asked.version = rule.version and rule.kind = 'rules'
inner join (select funnel_id, steps, step_names_ko, step_names_en from mart.funnel) as named
    on asked.rule_id = named.funnel_id
{% include '_rules.sql' %}
