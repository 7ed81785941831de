-- The filters act before the ranking: which moves are the most frequent depends on dates and channel.
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

name as (
    select node, min(label) as label
    from mart.node
    group by node
)

select
    edge.session_date,
    edge.channel,
    coalesce(source.label, edge.from_node) as source,
    coalesce(target.label, edge.to_node) as target,
    edge.sessions as moves
from edge
inner join frequent on edge.from_node = frequent.from_node and edge.to_node = frequent.to_node
left join name as source on edge.from_node = source.node
left join name as target on edge.to_node = target.node
