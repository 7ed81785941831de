-- Sessions that ended with an exit which names its menu. The filters act in here and not around it.
{% set period = get_time_filter('session_date', remove_filter=True) -%}
{% include '_filters.sql' %}
{% include '_members.sql' %},

ended as (
    select
        session.exit_node_id,
        session.exit_menu,
        {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
        session.errors > 0 as has_errors,
        session.is_converted,
        count(*) as sessions
    from {% include '_sessions.sql' %}

    and session.exit_menu is not null
    group by 1, 2, 3, 4, 5
)

select
    null::date as session_date,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    ended.segment,
    ended.exit_menu,
    ended.has_errors,
    ended.is_converted,
    ended.sessions,
    node.label as exit_page
from ended
left join mart.node as node on ended.exit_node_id = node.node_id
