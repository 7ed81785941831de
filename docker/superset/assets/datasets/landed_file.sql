select
    file_id,
    {% include '_source.sql' %},
    path,
    sha256,
    bytes,
    status,
    rows_read,
    rows_loaded,
    rows_quarantined,
    rows_duplicate,
    rows_bot,
    rows_mart,
    first_event_at,
    last_event_at,
    loaded_at,
    landed_date,
    error,
    repeat_of,
    superseded_by,
    to_char(loaded_at, 'YYYY-MM-DD HH24:MI') as loaded_shown,
    case status
        when 'loaded' then {{ [loaded] | where_in }}
        when 'waiting' then {{ [waiting] | where_in }}
        when 'repeated' then {{ [repeated] | where_in }}
        when 'rejected' then {{ [rejected] | where_in }}
        when 'superseded' then {{ [superseded] | where_in }}
    end as status_shown
from mart.landed_file
