select
    file.*,
    to_char(file.loaded_at, 'YYYY-MM-DD HH24:MI') as loaded_shown,
    case file.status
        when 'loaded' then {{ [loaded] | where_in }}
        when 'waiting' then {{ [waiting] | where_in }}
        when 'repeated' then {{ [repeated] | where_in }}
        when 'rejected' then {{ [rejected] | where_in }}
        when 'superseded' then {{ [superseded] | where_in }}
    end as status_shown
from mart.landed_file as file
