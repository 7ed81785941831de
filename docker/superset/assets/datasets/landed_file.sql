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
                when error ~ ' lies in the folder of no source'
                    then '원천의 폴더 밖에 놓인 파일' || coalesce(' (원천: ' || substring(error from 'sources: (.*)[)]$') || ')', '')
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
                when error ~ ' but its trailer .* declares '
                    then regexp_replace(
                        error,
                        '^.* has (messages|total of [^ ]+) ([^ ]+), but its trailer .line ([0-9]+). declares ([^ ;]+).*$',
                        '메시지의 건수나 합계(\2)가 \3번째 줄 트레일러(\4)와 다름'
                    ) || coalesce(
                        ', 읽을 수 없는 메시지가 있음(' || substring(error from 'the first in line ([0-9]+)') || '번째 줄)', ''
                    )
                when error ~ ' has no trailer| has a trailer | behind its trailer'
                    then '트레일러가 없거나 읽을 수 없거나 그 뒤에 내용이 더 있음'
                when error ~ ' cannot be decompressed' then '압축을 풀 수 없음(잘렸거나 손상됨)'
                when error ~ ' is not readable as Parquet' then 'Parquet 파일로 읽을 수 없음'
                when error ~ ' has no column for the required field '
                    then '필수 항목의 열이 없음: ' || substring(error from 'required field .([a-z_0-9]+)')
                when error ~ ' has no header| column without a name| the same name for its columns| within its header'
                    then '첫 줄의 열 이름이 없거나 잘못됨'
                when error ~ ' has a name with a personal value ' then '파일 이름에 개인정보가 있음(이름을 바꿔 다시 보내야 함)'
                when error ~ ' has the unknown ending ' then '모르는 확장자'
                when error ~ ' has a .done that supersedes .*, which has expired '
                    then '.done에서 정정한다고 한 파일은 보존 기간이 지났음'
                when error ~ ' has a .done that supersedes ' then '.done에서 정정한다고 한 파일이 없음'
                when error ~ ' cannot be checked against its .done| has a .done ' then '.done의 내용을 확인할 수 없음'
                when error ~ ' has (columns or values that|a time that is not)' then '읽을 수 없는 열이나 값이 있음'
                when error ~ ' is not a regular file|name that is not UTF-8' then '일반 파일이 아니거나 이름이 UTF-8이 아님'
                when error ~ ' holds messages|is a .dat file' then '거래 전문 파일(.dat)이 올 곳이 아님'
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
        when 'expired' then {{ [expired] | where_in }}
    end as status_shown
from mart.landed_file
