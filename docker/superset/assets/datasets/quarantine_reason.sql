select
    landed_date,
    {% include '_source.sql' %},
    case field {% for value, name in field_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else field end as field,
    kind,
    lines,
    files,
    case {{ [language] | where_in }} when 'ko' then coalesce(reason_ko, reason) else reason end as reason_shown
from mart.quarantine_reason
