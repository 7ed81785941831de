select distinct on (canary_id)
    case {{ [language] | where_in }} when 'ko' then label_ko else label_en end as canary,
    canary_date,
    checked_at,
    is_seen,
    case hop
        when 'publication' then {{ [publication] | where_in }}
        when 'file' then {{ [file] | where_in }}
        when 'lines' then {{ [lines] | where_in }}
        when 'session' then {{ [session] | where_in }}
        when 'timeline' then {{ [timeline] | where_in }}
        when 'funnel' then {{ [funnel] | where_in }}
        when 'rule' then {{ [rule] | where_in }}
        when 'audience' then {{ [audience] | where_in }}
    end as hop_shown
from mart.canary
where checked_at is not null
order by canary_id asc, canary_date desc
