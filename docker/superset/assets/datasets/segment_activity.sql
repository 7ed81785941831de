-- Sessions of the customers of each segment; customers without a session in the period count as members too.
{% set period = get_time_filter('session_date') -%}
{% include '_filters.sql' %}
with named as (
    select segment_id, members, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment
    from mart.segment
),

-- Counted once for each customer, who may belong to several segments.
active as materialized (
    select
        customer_key,
        {% if channels %}channel{% else %}null::text{% endif %} as channel,
        {% if domains %}domain{% else %}null::text{% endif %} as domain,
        {% if devices %}device_type{% else %}null::text{% endif %} as device_type,
        count(*) as sessions,
        count(*) filter (where is_converted) as converted,
        count(*) filter (where errors > 0) as errors,
        sum(amount_krw) as amount_krw
    from mart.session
    where
        customer_key is not null
        {% if period.from_expr %}and session_date >= {{ period.from_expr }}{% endif %}
        {% if period.to_expr %}and session_date < {{ period.to_expr }}{% endif %}
        {% if channels %}and channel in {{ channels | where_in }}{% endif %}
        {% if domains %}and domain in {{ domains | where_in }}{% endif %}
        {% if devices %}and device_type in {{ devices | where_in }}{% endif %}
    group by 1, 2, 3, 4
)

select
    {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date as session_date,
    total.channel,
    total.domain,
    total.device_type,
    named.segment,
    named.members,
    coalesce(total.customers, 0) as customers,
    coalesce(total.sessions, 0) as sessions,
    total.converted,
    total.errors,
    total.amount_krw
from named
left join (
    select
        belonging.segment_id,
        active.channel,
        active.domain,
        active.device_type,
        count(*) as customers,
        sum(active.sessions) as sessions,
        sum(active.converted) as converted,
        sum(active.errors) as errors,
        sum(active.amount_krw) as amount_krw
    from named as belonging
    cross join lateral mart.segment_customers(belonging.segment_id) as customer (customer_key)
    inner join active on customer.customer_key = active.customer_key
    group by 1, 2, 3, 4
) as total on named.segment_id = total.segment_id
