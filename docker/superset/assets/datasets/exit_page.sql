-- Sessions are counted by where they end before pages get their names and links. The filters act in here and not around it.
{% set own_roles = current_user_roles() -%}
{% set period = get_time_filter('session_date', remove_filter=True) -%}
{% include '_filters.sql' %}
{% include '_members.sql' %},

ended as (
    select
        session.exit_node_id,
        {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
        session.errors > 0 as has_errors,
        session.is_converted,
        count(*) as sessions
    from {% include '_sessions.sql' %}

    group by 1, 2, 3, 4
)

select
    null::date as session_date,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    ended.segment,
    ended.has_errors,
    ended.is_converted,
    ended.sessions,
    {% if people_roles | select('in', own_roles or []) | list -%}
    mart.dashboard_link(
        {{ [people] | where_in }},
        jsonb_build_object('behaviour', {{ [left_at] | where_in }} || ' · ' || name.label || ' (' || node.node || ')')
        || {% include '_carried.sql' %},
        name.label
    )
    {%- else -%}
    name.label
    {%- endif %} as exit_page
from ended
left join mart.node as node on ended.exit_node_id = node.node_id
left join (
    select node, min(label) as label
    from mart.node
    group by node
) as name on node.node = name.node
