{% set customers = filter_values('customer_id') -%}
{% set purposes = filter_values('purpose') -%}
{% set period = get_time_filter('converted_at') -%}
select
    flow.converted_at,
    flow.conversion_no,
    to_char(flow.converted_at, 'YYYY-MM-DD HH24:MI') || ' · '
    || case {{ [language] | where_in }} when 'ko' then funnel.label_ko else funnel.label_en end as conversion,
    flow.conversion_no * 10000 + flow.place_no as flow_order,
    to_char(flow.happened_at, 'YYYY-MM-DD HH24:MI:SS') as happened,
    case flow.kind
        when 'first_touch' then {{ [first_touch] | where_in }}
        when 'between' then {{ [between] | where_in }}
        when 'last_touch' then {{ [last_touch] | where_in }}
        when 'session' then {{ [session] | where_in }}
        when 'step' then {{ [step] | where_in }}
        else {{ [goal] | where_in }}
    end as place,
    coalesce(
        case {{ [language] | where_in }}
            when 'ko' then funnel.step_names_ko[flow.step_no]
            else funnel.step_names_en[flow.step_no]
        end,
        case flow.inflow_channel
            {% for id, label in channel_names %}when {{ [id] | where_in }} then {{ [label] | where_in }} {% endfor %}
            else flow.inflow_channel
        end
    ) as what,
    case flow.channel {% for value, name in channel_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else flow.channel end as channel,
    flow.sessions,
    flow.pages,
    {% if customers %}{{ [customers[0]] | where_in }}{% else %}null::text{% endif %} as customer_id,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose
from mart.customer_conversions(
    viewer => {{ [current_username()] | where_in }},
    customer => {% if customers %}{{ [customers[0]] | where_in }}{% else %}null{% endif %},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %},
    from_at => {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::timestamptz,
    to_at => {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::timestamptz
) as flow
inner join mart.funnel as funnel on flow.funnel_id = funnel.funnel_id
