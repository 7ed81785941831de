{{ config(materialized='mart_view') }}
-- Reasons show the value between quotes; here it is left out: equal mistakes count together, and nobody is named.
with rejected as (
    select
        q.file_id,
        q.source,
        coalesce(q.field, '-') as field,
        regexp_replace(q.reason, '''.*''', '…') as reason
    from {{ source('raw', 'quarantine') }} as q
)

select
    r.source,
    {{ business_date('f.loaded_at') }} as landed_date,
    r.field,
    r.reason,
    case
        when r.reason like '% is missing.' then 'missing'
        when r.reason ~ 'UTF-8|NUL|encod|EUC-KR|CP949' then 'encoding'
        when
            r.field = '-'
            or r.reason ~ 'cannot be stored as JSON|(values|bytes) instead of|ends (at byte|before)|as many entries'
            then 'syntax'
        when
            r.reason ~ ' (is (not (one of|in|between)|before|longer|in scientific|more)|has more|does not exist) '
            or r.reason ~ ' no layout for '
            then 'value'
        else 'type'
    end as kind,
    case
        when r.reason like '% is missing.' then '꼭 있어야 할 값이 없음'
        when r.reason ~ 'NUL' then 'NUL 문자가 들어 있음'
        when r.reason ~ ' is not (UTF-8|CP949|EUC-KR)' then '약속한 문자 코드(UTF-8, CP949 등)가 아님'
        when r.reason ~ 'cannot be stored as JSON' then 'JSON으로 저장할 수 없는 값'
        when r.reason ~ '(line|body) is not (a )?JSON' then 'JSON 객체로 읽을 수 없음'
        when r.reason ~ ' has the key ' then '같은 항목 이름이 한 줄에 두 번 나옴'
        when r.reason ~ 'CSV record' then 'CSV 행으로 읽을 수 없음'
        when r.reason ~ 'combined log' then '웹 서버 로그(combined) 형식이 아님'
        when r.reason ~ 'is longer than' then '허용된 길이보다 긺'
        when r.reason ~ 'quoted value' then '따옴표가 닫히지 않음'
        when r.reason ~ 'values instead of|bytes instead of|ends (at byte|before)' then '길이나 값의 개수가 다름'
        when r.reason ~ 'There is no layout|is not in transactions' then '정의되지 않은 거래 코드'
        when r.reason ~ 'is not between|as many entries|a list of objects' then '반복부의 건수가 맞지 않음'
        when r.reason ~ ' is not one of ' then '허용된 값이 아님: ' || substring(r.reason from 'is not one of ([^:]*)')
        when r.reason ~ ' is before \d+ or after \d+'
            then regexp_replace(r.reason, '.* is before (\d+) or after (\d+).*', '\1년부터 \2년까지의 날짜가 아님')
        when r.reason ~ ' is more than 1 day ahead' then '하루 넘게 앞선 시각'
        when r.reason ~ ' does not exist in '
            then regexp_replace(r.reason, '.* does not exist in ([^,]+).*', '서머타임 시작으로 건너뛴 시각(\1)')
        when r.reason ~ ' has more than ' then '소수점 아래 자릿수가 너무 많음'
        when r.reason ~ ' is in scientific notation' then '지수 표기(1e5 등)로 적힌 숫자'
        when r.reason ~ ' is not a time' then '시각으로 읽을 수 없음'
        when r.reason ~ ' is not a date' then '날짜로 읽을 수 없음'
        when r.reason ~ ' is not a (whole|decimal)? ?number' then '숫자로 읽을 수 없음'
        when r.reason ~ ' is not true or false' then '참·거짓으로 읽을 수 없음'
        when r.reason ~ ' is not (text|one value|a text)' then '하나의 문자 값이 아님'
        when r.reason ~ ' is not JSON' then 'JSON으로 읽을 수 없음'
        else r.reason
    end as reason_ko,
    count(*) as lines,
    count(distinct r.file_id)::integer as files
from rejected as r
inner join {{ source('raw', 'file') }} as f on r.file_id = f.file_id
where f.status = 'loaded'
group by 1, 2, 3, 4, 5, 6
