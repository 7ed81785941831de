-- Sessions of the customers of each segment; customers without a session in the period count as members too.
{% set period = get_time_filter('session_date') -%}
{% set channels = filter_values('channel') -%}
{% set domains = filter_values('domain') -%}
{% set devices = filter_values('device_type') -%}
select
    {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date as session_date,
    session.channel,
    session.domain,
    session.device_type,
    named.segment,
    named.members,
    session.customers,
    session.sessions,
    session.converted,
    session.errors,
    session.amount_krw
from (
    select segment_id, members, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment
    from mart.segment
) as named
cross join lateral (
    select
        {% if channels %}s.channel{% else %}null::text{% endif %} as channel,
        {% if domains %}s.domain{% else %}null::text{% endif %} as domain,
        {% if devices %}s.device_type{% else %}null::text{% endif %} as device_type,
        count(distinct s.customer_key) as customers,
        count(*) as sessions,
        count(*) filter (where s.transactions > 0) as converted,
        count(*) filter (where s.errors > 0) as errors,
        sum(s.amount_krw) as amount_krw
    from mart.segment_customers(named.segment_id) as customer (customer_key)
    inner join mart.session as s on customer.customer_key = s.customer_key
    where
        true
        {% if period.from_expr %}and s.session_date >= {{ period.from_expr }}{% endif %}
        {% if period.to_expr %}and s.session_date < {{ period.to_expr }}{% endif %}
        {% if channels %}and s.channel in {{ channels | where_in }}{% endif %}
        {% if domains %}and s.domain in {{ domains | where_in }}{% endif %}
        {% if devices %}and s.device_type in {{ devices | where_in }}{% endif %}
    group by 1, 2, 3
) as session
