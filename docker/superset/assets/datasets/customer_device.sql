{% set customers = filter_values('customer_id') -%}
{% set purposes = filter_values('purpose') -%}
select
    device.*,
    {% if customers %}{{ [customers[0]] | where_in }}{% else %}null::text{% endif %} as customer_id,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose
from mart.customer_devices(
    viewer => {{ [current_username()] | where_in }},
    customer => {% if customers %}{{ [customers[0]] | where_in }}{% else %}null{% endif %},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %}
) as device
