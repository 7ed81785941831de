-- The daily numbers know no customers; with a segment, the sessions themselves are counted.
{% include '_filters.sql' %}
{% include '_members.sql' %}

{% if segments -%}
select
    session.session_date,
    case session.channel {% for value, name in channel_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else session.channel end as channel,
    session.domain,
    case session.device_type {% for value, name in device_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else session.device_type end as device_type,
    member.segment,
    count(*) as sessions,
    count(*) filter (where session.is_converted) as converted_sessions
from mart.session as session
inner join member on session.customer_key = member.customer_key
where
    true
    {% if channels %}and session.channel in {{ channels | where_in }}{% endif %}
    {% if domains %}and session.domain in {{ domains | where_in }}{% endif %}
    {% if devices %}and session.device_type in {{ devices | where_in }}{% endif %}
group by 1, 2, 3, 4, 5
{%- else -%}
select
    daily.session_date,
    case daily.channel {% for value, name in channel_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else daily.channel end as channel,
    daily.domain,
    case daily.device_type {% for value, name in device_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else daily.device_type end as device_type,
    null::text as segment,
    daily.sessions,
    daily.converted_sessions
from mart.session_daily as daily
where
    true
    {% if channels %}and daily.channel in {{ channels | where_in }}{% endif %}
    {% if domains %}and daily.domain in {{ domains | where_in }}{% endif %}
    {% if devices %}and daily.device_type in {{ devices | where_in }}{% endif %}
{%- endif %}
