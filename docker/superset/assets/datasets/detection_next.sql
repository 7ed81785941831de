select
    rule.owner,
    case {{ [language] | where_in }} when 'ko' then rule.label_ko else rule.label_en end as rule,
    asked.detection_date,
    case
        when asked.next_node is null then {{ [waiting] | where_in }}
        when asked.next_node = '이탈' then {{ [nothing] | where_in }}
        else asked.next_name
    end as next_name,
    asked.hits
from mart.detection_next as asked
inner join mart.definition as rule on asked.rule_id = rule.definition_id and rule.kind = 'rules'
{% include '_rules.sql' %}
