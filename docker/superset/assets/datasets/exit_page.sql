{% include '_members.sql' %}

select
    session.session_id,
    session.session_date,
    session.channel,
    session.domain,
    session.device_type,
    session.errors,
    session.transactions,
    {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
    coalesce(name.label, session.exit_node) as exit_page
from mart.session as session
{% if segments %}inner join member on session.customer_key = member.customer_key{% endif %}
left join (
    select node, min(label) as label
    from mart.node
    group by node
) as name on session.exit_node = name.node
