select
    node.label as step_page,
    coalesce(sum(edge.sessions), 0) as visits
from mart.node as node
left join (
    select from_node, sum(sessions) as sessions
    from mart.path_edge
    group by from_node
) as edge on node.node = edge.from_node
group by node.label
