{% set customers = filter_values('customer_id') -%}
{% set purposes = filter_values('purpose') -%}
{% set period = get_time_filter('happened_at') -%}
select
    timeline.happened_at,
    to_char(timeline.happened_at, 'YYYY-MM-DD HH24:MI:SS') as happened,
    case
        when timeline.session_no is not null then {{ [session] | where_in }} || ' ' || timeline.session_no
        else {{ [outside] | where_in }}
    end as session,
    case
        when timeline.is_error and timeline.kind = 'transaction' then {{ [failed] | where_in }}
        when timeline.is_error then {{ [error] | where_in }}
        when timeline.kind = 'behaviour' then {{ [behaviour] | where_in }}
        when timeline.kind = 'transaction' then {{ [transaction] | where_in }}
        when timeline.kind = 'consultation' then {{ [consultation] | where_in }}
        when timeline.kind = 'campaign' then {{ [campaign] | where_in }}
        when timeline.kind = 'subscription' then {{ [subscription] | where_in }}
        when timeline.kind = 'survey' then {{ [survey] | where_in }}
        else timeline.kind
    end as kind_shown,
    timeline.kind,
    timeline.title,
    timeline.detail,
    case
        when timeline.kind = 'survey' and json_typeof(timeline.detail::json) = 'object' then (
            select string_agg(a.key || ': ' || a.value, ' · ') from json_each_text(timeline.detail::json) as a
        )
        when timeline.kind = 'behaviour' then
            case part.first
                when 'view' then {{ [view] | where_in }}
                when 'click' then {{ [click] | where_in }}
                when 'input' then {{ [input] | where_in }}
                when 'scroll' then {{ [scroll] | where_in }}
                when 'popup' then {{ [popup] | where_in }}
                when 'tab' then {{ [tab] | where_in }}
                when 'select' then {{ [select] | where_in }}
                when 'submit' then {{ [submit] | where_in }}
                when 'exit' then {{ [leave] | where_in }}
                when 'error' then {{ [failure] | where_in }}
                else part.first
            end || substr(timeline.detail, length(part.first) + 1)
        when timeline.kind = 'subscription' then
            concat_ws(
                ' · ',
                case part.first when '가입' then {{ [joined] | where_in }} when '해지' then {{ [left_it] | where_in }} end,
                case when part.last <> part.first then ended.shown end
            )
        when timeline.kind in ('transaction', 'campaign') then
            left(timeline.detail, length(timeline.detail) - length(part.last)) || ended.shown
        else timeline.detail
    end as detail_shown,
    case timeline.channel {% for value, name in channel_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else timeline.channel end as channel,
    timeline.amount_krw,
    timeline.is_error,
    {% if customers %}{{ [customers[0]] | where_in }}{% else %}null::text{% endif %} as customer_id,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose
from mart.customer_timeline(
    viewer => {{ [current_username()] | where_in }},
    customer => {% if customers %}{{ [customers[0]] | where_in }}{% else %}null{% endif %},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %},
    from_at => {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::timestamptz,
    to_at => {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::timestamptz
) as timeline
cross join lateral (
    select
        split_part(timeline.detail, ' · ', 1) as first,
        reverse(split_part(reverse(timeline.detail), ' · ', 1)) as last
) as part
cross join lateral (
    select
        case part.last
            {% for value, name in code_words + result_words + status_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}
            else part.last
        end as shown
) as ended
