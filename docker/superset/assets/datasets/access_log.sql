{% set period = get_time_filter('accessed_on') -%}
select
    looked.accessed_at,
    looked.accessed_at::date as accessed_on,
    to_char(looked.accessed_at, 'YYYY-MM-DD HH24:MI:SS') as accessed_shown,
    looked.user_name,
    case object.kind
        when 'profile' then {{ [profile] | where_in }}
        when 'devices' then {{ [devices] | where_in }}
        when 'timeline' then {{ [timeline] | where_in }}
        when 'conversions' then {{ [conversions] | where_in }}
        when 'funnel' then {{ [funnel] | where_in }}
        when 'rule' then {{ [behaviour] | where_in }}
        when 'risk' then {{ [behaviour] | where_in }}
        when 'exit' then {{ [behaviour] | where_in }}
        when 'error' then {{ [behaviour] | where_in }}
        when 'path' then {{ [behaviour] | where_in }}
        when 'audience' then {{ [audience] | where_in }}
        when 'segment' then {{ [segment] | where_in }}
        when 'raw.quarantine' then {{ [quarantine] | where_in }}
        when 'archive' then {{ [archive] | where_in }}
        else object.kind
    end as screen,
    nullif(substr(looked.object, length(object.kind) + 2), '') as about,
    looked.customer_key,
    looked.customer_masked,
    looked.purpose
from mart.access_log(
    from_at => {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::timestamptz,
    to_at => {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::timestamptz
) as looked
cross join lateral split_part(looked.object, ' ', 1) as object (kind)
