-- Sessions are counted, and visitors told apart, before inflows get their names. The filters act in here and not around
-- it: a column that is not asked for is empty.
{% set period = get_time_filter('session_date', remove_filter=True) -%}
{% include '_filters.sql' %}
{% set inflows = filter_values('inflow_channel', remove_filter=True) -%}
{% set sources = filter_values('utm_source', remove_filter=True) -%}
{% set mediums = filter_values('utm_medium', remove_filter=True) -%}
{% set campaigns = filter_values('utm_campaign', remove_filter=True) -%}
{% set others = filter | rejectattr('op', 'in', ['IN', '==', 'TEMPORAL_RANGE']) | list -%}
{% set asked = (columns or []) ~ (groupby or []) ~ others -%}
{% set has_inflow = inflows or sources or mediums or campaigns or 'inflow_channel' in asked or 'utm_' in asked -%}
{% include '_members.sql' %},

-- Inflows that the columns asked for do not tell apart are one for their visitors: the first of them.
place as (
    select
        named.*,
        min(named.inflow_key) over (
            partition by named.inflow_channel, named.utm_source, named.utm_medium, named.utm_campaign
        ) as first_key
    from (
        select
            known.inflow_key,
            {% if "'inflow_channel'" in asked %}known.inflow_channel{% else %}null::text{% endif %} as inflow_channel,
            {% if "'utm_source'" in asked %}known.utm_source{% else %}null::text{% endif %} as utm_source,
            {% if "'utm_medium'" in asked %}known.utm_medium{% else %}null::text{% endif %} as utm_medium,
            {% if "'utm_campaign'" in asked %}known.utm_campaign{% else %}null::text{% endif %} as utm_campaign
        from (
            select
                inflow_key,
                case inflow_channel
                    {% for id, label in channel_names %}when {{ [id] | where_in }} then {{ [label] | where_in }} {% endfor %}
                    else inflow_channel
                end as inflow_channel,
                utm_source,
                utm_medium,
                utm_campaign
            from (
                select inflow_key, inflow_channel, utm_source, utm_medium, utm_campaign
                from mart.inflow
                union all
                select 0, 'direct', null, null, null
            ) as landed
        ) as known
        where
            true
            {% if inflows %}and known.inflow_channel in {{ inflows | where_in }}{% endif %}
            {% if sources %}and known.utm_source in {{ sources | where_in }}{% endif %}
            {% if mediums %}and known.utm_medium in {{ mediums | where_in }}{% endif %}
            {% if campaigns %}and known.utm_campaign in {{ campaigns | where_in }}{% endif %}
    ) as named
),

chosen as not materialized (
    select
        {% if "'session_date'" in asked %}session.session_date{% else %}null::date{% endif %} as session_date,
        {% if "'channel'" in asked %}session.channel{% else %}null::text{% endif %} as channel,
        {% if "'domain'" in asked %}session.domain{% else %}null::text{% endif %} as domain,
        {% if "'device_type'" in asked %}session.device_type{% else %}null::text{% endif %} as device_type,
        {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
        coalesce(session.inflow_key, 0) as inflow_key,
        session.visitor_key,
        session.is_bounce,
        session.is_converted,
        session.pages,
        session.amount_krw
    from {% include '_sessions.sql' %}

),

counted as (
    {% if (metrics or []) != [visitors] -%}
    select
        session_date, channel, domain, device_type, segment, inflow_key,
        0 as visitors,
        count(*) as sessions,
        count(*) filter (where is_bounce) as bounces,
        count(*) filter (where is_converted) as converted_sessions,
        sum(pages) as pages,
        sum(amount_krw) as amount_krw
    from chosen
    group by 1, 2, 3, 4, 5, 6
    {% if visitors in (metrics or []) %}union all{% endif %}
    {%- endif %}
    {% if visitors in (metrics or []) -%}
    select
        session_date, channel, domain, device_type, segment,
        first_key as inflow_key,
        count(*) as visitors,
        0 as sessions,
        0 as bounces,
        0 as converted_sessions,
        0 as pages,
        0 as amount_krw
    from (
        select distinct
            chosen.session_date,
            chosen.channel,
            chosen.domain,
            chosen.device_type,
            chosen.segment,
            chosen.visitor_key,
            {% if has_inflow %}place.first_key{% else %}0{% endif %} as first_key
        from chosen
        {% if has_inflow %}inner join place on chosen.inflow_key = place.inflow_key{% endif %}
    ) as visitor
    group by 1, 2, 3, 4, 5, 6
    {%- endif %}
)

select
    counted.session_date,
    counted.channel,
    counted.domain,
    counted.device_type,
    counted.segment,
    place.inflow_channel,
    place.utm_source,
    place.utm_medium,
    place.utm_campaign,
    counted.visitors,
    counted.sessions,
    counted.bounces,
    counted.converted_sessions,
    counted.pages,
    counted.amount_krw
from counted
inner join place on counted.inflow_key = place.inflow_key
