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
    -- Landing speaks English; what a rejection is mostly about is said in Korean, too.
    coalesce(
        case {{ [language] | where_in }}
            when 'ko' then case
                when error ~ ' is a folder of no source'
                    then '어느 원천의 폴더도 아님' || coalesce(' (원천: ' || substring(error from 'sources: (.*)[)]$') || ')', '')
                when error ~ ' has the sha256 ' then '파일의 해시가 .done에 적힌 것과 다름'
                when error ~ ' has [0-9]+ rows, but its .done declares '
                    then regexp_replace(
                        error, '^.* has ([0-9]+) rows, but its .done declares ([0-9]+)$', '행이 \1개인데 .done에는 \2개로 적혀 있음'
                    )
                when error ~ ' has a total of '
                    then regexp_replace(
                        error,
                        '^.* has a total of ([^ ]+) of ([^ ]+), but its .done declares ([^ ]+)$',
                        '\1 합계가 \2인데 .done에는 \3(으)로 적혀 있음'
                    )
                when error ~ ' cannot be read' then '파일을 읽을 수 없음'
            end
        end,
        error,
        ''
    ) as error,
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
