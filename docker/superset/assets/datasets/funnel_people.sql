-- Nobody is shown, and nobody written down, until a step, an outcome and a purpose are chosen. A number leads to the
-- single view of its customer. The filters act in here and not around it: of several channels a customer has none.
{% set steps = filter_values('step') -%}
{% set outcomes = filter_values('outcome') -%}
{% set purposes = filter_values('purpose') -%}
{% set period = get_time_filter('entered_at', remove_filter=True) -%}
{% include '_filters.sql' %}
{% set segments = filter_values('segment', remove_filter=True) -%}
with {% include '_funnel_step.sql' %},

chosen as (
    select named.funnel_id, named.step_no, named.step, outcome.outcome, outcome.shown
    from named
    cross join (
        values
        ('entered', {{ [entered] | where_in }}), ('converted', {{ [converted] | where_in }}),
        ('dropped', {{ [dropped] | where_in }}), ('still_open', {{ [still_open] | where_in }})
    ) as outcome (outcome, shown)
    where
        {% if steps and outcomes -%}
        named.step in {{ [steps[0]] | where_in }} and outcome.shown in {{ [outcomes[0]] | where_in }}
        {%- else -%}
        false
        {%- endif %}
)

select
    chosen.step,
    chosen.shown as outcome,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    null::text as segment,
    customer.customer_id,
    mart.dashboard_link(
        {{ [single_view] | where_in }}, jsonb_build_object('customer_id', customer.customer_id), customer.customer_id
    ) as customer_shown,
    customer.entered_at,
    to_char(customer.entered_at, 'YYYY-MM-DD HH24:MI') as entered,
    to_char(customer.step_at, 'YYYY-MM-DD HH24:MI') as reached
from chosen
cross join lateral mart.funnel_customers(
    viewer => {{ [current_username()] | where_in }},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %},
    of_funnel => chosen.funnel_id,
    step => chosen.step_no,
    outcome => chosen.outcome,
    from_date => {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date,
    to_date => {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::date - 1,
    {% include '_chosen.sql' %}

) as customer
