select
    node.label as step_page,
    coalesce(sum(move.visits), 0) as visits
from mart.node as node
left join (
    select node_id, sum(visits) as visits
    from mart.path_move
    group by node_id
) as move on node.node_id = move.node_id
group by node.label
