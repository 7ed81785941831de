-- The list of ends begins with transactions: that is what most people ask the way to.
select
    node.label as start_page,
    node.label as end_page,
    coalesce(sum(edge.sessions), 0) as visits,
    coalesce(sum(edge.sessions) filter (where node.kind = 'transaction'), 0) as goal_visits
from mart.node as node
left join (
    select from_node, sum(sessions) as sessions
    from mart.path_edge
    group by from_node
) as edge on node.node = edge.from_node
group by node.label
