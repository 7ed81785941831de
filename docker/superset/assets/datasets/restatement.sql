select
    r.published_at::date as published_on,
    r.published_at,
    to_char(r.published_at, 'YYYY-MM-DD HH24:MI') as published_shown,
    r.business_date,
    case r.measure
        when 'sessions' then {{ [sessions] | where_in }}
        when 'events' then {{ [events] | where_in }}
        when 'converted_sessions' then {{ [converted_sessions] | where_in }}
        when 'transactions' then {{ [transactions] | where_in }}
        when 'amount_krw' then {{ [amount_krw] | where_in }}
    end as measure_shown,
    array_position(array['sessions', 'events', 'converted_sessions', 'transactions', 'amount_krw'], r.measure) as measure_no,
    r.value_before,
    r.value_after,
    r.value_after - r.value_before as change,
    (
        select string_agg(
            case c.cause
                when 'late' then {{ [late] | where_in }}
                when 'correction' then {{ [correction] | where_in }}
                when 'expiry' then {{ [expiry] | where_in }}
                when 'erasure' then {{ [erasure] | where_in }}
                when 'replay' then {{ [replay] | where_in }}
                when 'definition' then {{ [definition] | where_in }}
                when 'rebuild' then {{ [rebuild] | where_in }}
                when 'continued' then {{ [continued] | where_in }}
            end,
            ', ' order by c.cause
        )
        from unnest(r.causes) as c (cause)
    ) as causes_shown
from mart.restatement as r
