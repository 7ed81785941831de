-- The filters act before the ranking: which moves are the most frequent depends on dates and channel.
{% set own_roles = current_user_roles() -%}
{% set period = get_time_filter('session_date') -%}
{% set channels = filter_values('channel') -%}
with edge as (
    select from_node, to_node, session_date, channel, sessions
    from mart.path_edge
    where
        to_node <> '이탈'
        and from_node <> to_node
        {% if period.from_expr %}and session_date >= {{ period.from_expr }}{% endif %}
        {% if period.to_expr %}and session_date < {{ period.to_expr }}{% endif %}
        {% if channels %}and channel in {{ channels | where_in }}{% endif %}
),

frequent as (
    select from_node, to_node
    from edge
    group by from_node, to_node
    order by sum(sessions) desc, from_node, to_node
    limit 40
),

-- Links are made once for each page, not for each of its moves and days.
name as materialized (
    select
        page.node,
        page.label,
        {% if around_roles | select('in', own_roles or []) | list -%}
        mart.dashboard_link(
            {{ [around] | where_in }},
            jsonb_build_object('anchor', page.label || ' · ' || page.kind) || {% include '_carried.sql' %},
            page.label
        )
        {%- else -%}
        page.label
        {%- endif %} as label_shown
    from (
        select
            node,
            min(label) as label,
            case when min(kind) = 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end as kind
        from mart.node
        group by node
    ) as page
)

select
    edge.session_date,
    edge.channel,
    coalesce(source.label, edge.from_node) as source,
    coalesce(target.label, edge.to_node) as target,
    coalesce(source.label_shown, edge.from_node) as source_shown,
    coalesce(target.label_shown, edge.to_node) as target_shown,
    edge.sessions as moves
from edge
inner join frequent on edge.from_node = frequent.from_node and edge.to_node = frequent.to_node
left join name as source on edge.from_node = source.node
left join name as target on edge.to_node = target.node
