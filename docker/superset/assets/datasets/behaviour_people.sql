-- Nobody is shown, and nobody written down, until a behaviour and a purpose are chosen.
{% set behaviours = filter_values('behaviour') -%}
{% set purposes = filter_values('purpose') -%}
{% set period = get_time_filter('last_at') -%}
with {% include '_behaviour.sql' %}

select
    behaviour.behaviour,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose,
    customer.customer_id,
    mart.dashboard_link(
        {{ [single_view] | where_in }}, jsonb_build_object('customer_id', customer.customer_id), customer.customer_id
    ) as customer_shown,
    customer.times,
    customer.last_at,
    to_char(customer.last_at, 'YYYY-MM-DD HH24:MI') as last_shown
from behaviour
cross join lateral mart.behaviour_customers(
    viewer => {{ [current_username()] | where_in }},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %},
    kind => behaviour.kind,
    code => behaviour.code,
    error_code => behaviour.error_code,
    from_date => {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date,
    to_date => {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::date - 1
) as customer
where {% if behaviours %}behaviour.behaviour in {{ [behaviours[0]] | where_in }}{% else %}false{% endif %}
