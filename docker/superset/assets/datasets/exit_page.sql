{% set own_roles = current_user_roles() -%}
{% set period = get_time_filter('session_date') -%}
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
    coalesce(name.shown, session.exit_node) as exit_page
from mart.session as session
{% if segments %}inner join member on session.customer_key = member.customer_key{% endif %}
-- Links are made once for each page, not for each session.
left join (
    select
        node,
        {% if people_roles | select('in', own_roles or []) | list -%}
        mart.dashboard_link(
            {{ [people] | where_in }},
            jsonb_build_object(
                'behaviour', {{ [left_at] | where_in }} || ' · ' || min(label) || ' (' || node || ')',
                'period', {% include '_period.sql' %}
            ),
            min(label)
        )
        {%- else -%}
        min(label)
        {%- endif %} as shown
    from mart.node
    group by node
) as name on session.exit_node = name.node
