{% set customers = filter_values('customer_id') -%}
{% set purposes = filter_values('purpose') -%}
select
    profile.*,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose
from mart.customer_profile(
    viewer => {{ [current_username()] | where_in }},
    customer => {% if customers %}{{ [customers[0]] | where_in }}{% else %}null{% endif %},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %}
) as profile
