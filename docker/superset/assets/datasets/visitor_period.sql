-- Visitors of the chosen period and, if it has any, of the one before, each on the first day of the period. The filters act
-- in here and not around it.
{% set period = get_time_filter('session_date', remove_filter=True) -%}
{% include '_filters.sql' %}
{% include '_members.sql' %},

{% include '_span.sql' %},

visitor as (
    select distinct
        {% if period.from_expr %}session.session_date < (select from_date from span){% else %}false{% endif %} as is_before,
        {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
        session.visitor_key
    from mart.session as session
    {% if segments %}inner join member on session.customer_key = member.customer_key{% endif %}
    where
        true
        {% if period.from_expr and period.to_expr -%}
        and session.session_date >= {{ period.from_expr }}::date - ({{ period.to_expr }}::date - {{ period.from_expr }}::date)
        {%- endif %}
        {% if period.to_expr %}and session.session_date < {{ period.to_expr }}{% endif %}
        {% if period.from_expr -%}
        and (
            session.session_date >= (select from_date from span)
            or (
                session.session_date >= (select compared_from from span)
                and session.started_at <= (select until_at from span)
            )
        )
        {%- endif %}
        {% if channels %}and session.channel in {{ channels | where_in }}{% endif %}
        {% if domains %}and session.domain in {{ domains | where_in }}{% endif %}
        {% if devices %}and session.device_type in {{ devices | where_in }}{% endif %}
),

counted as (
    select is_before, segment, count(*) as visitors
    from visitor
    group by is_before, segment
)

select
    case when counted.is_before then span.before_date else span.from_date end as session_date,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    counted.segment,
    counted.visitors
from counted
cross join span
where not counted.is_before or exists (select from counted as chosen where not chosen.is_before)
