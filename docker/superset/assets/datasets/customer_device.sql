{% set customers = filter_values('customer_id') -%}
{% set purposes = filter_values('purpose') -%}
select
    case device.channel {% for value, name in channel_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else device.channel end as channel,
    device.domain,
    case device.device_type {% for value, name in device_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else device.device_type end as device_type,
    device.device_model,
    device.os,
    device.app_version,
    device.sessions,
    device.last_seen_at,
    {% if customers %}{{ [customers[0]] | where_in }}{% else %}null::text{% endif %} as customer_id,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose
from mart.customer_devices(
    viewer => {{ [current_username()] | where_in }},
    customer => {% if customers %}{{ [customers[0]] | where_in }}{% else %}null{% endif %},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %}
) as device
