{% include '_members.sql' %}

select
    session.session_id,
    session.session_date,
    session.channel,
    session.domain,
    session.device_type,
    session.inflow_channel,
    session.utm_source,
    session.utm_medium,
    session.utm_campaign,
    session.is_bounce,
    session.pages,
    session.transactions,
    session.amount_krw,
    session.visitor_key,
    {% if segments %}member.segment{% else %}null::text{% endif %} as segment
from mart.session as session
{% if segments %}inner join member on session.customer_key = member.customer_key{% endif %}
