select
    rule.owner,
    case {{ [language] | where_in }} when 'ko' then rule.label_ko else rule.label_en end as rule,
    following.detection_date,
    case
        when following.next_node = '이탈' then {{ [nothing] | where_in }} else following.next_name
    end as next_name,
    following.hits
from mart.detection_next as following
inner join mart.definition as rule on following.rule_id = rule.definition_id and rule.kind = 'rules'
