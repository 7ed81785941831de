select
    hit.owner,
    case {{ [language] | where_in }} when 'ko' then hit.rule_name else hit.rule_name_en end as rule,
    hit.detection_date,
    hit.subject_key,
    hit.has_reached_goal,
    hit.latency_seconds,
    hit.is_today
from mart.detection_hit as hit
