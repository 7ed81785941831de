select
    outcome.owner,
    case {{ [language] | where_in }} when 'ko' then rule.label_ko else rule.label_en end as rule,
    coalesce(
        case {{ [language] | where_in }} when 'ko' then message.label_ko else message.label_en end, outcome.message_id
    ) as message,
    case outcome.action
        when 'popup' then {{ [popup] | where_in }}
        when 'survey' then {{ [survey] | where_in }}
        when 'redirect' then {{ [redirect] | where_in }}
        when 'campaign' then {{ [campaign] | where_in }}
    end as action,
    outcome.created_date,
    outcome.is_answered,
    outcome.is_shown,
    outcome.is_clicked,
    outcome.is_expired
from mart.trigger_outcome as outcome
inner join mart.definition as rule on rule.kind = 'rules' and outcome.rule_id = rule.definition_id
left join mart.definition as message on message.kind = 'messages' and outcome.message_id = message.definition_id
