select
    landed_date,
    {% include '_source.sql' %},
    field,
    kind,
    lines,
    files,
    case {{ [language] | where_in }} when 'ko' then coalesce(reason_ko, reason) else reason end as reason_shown
from mart.quarantine_reason
