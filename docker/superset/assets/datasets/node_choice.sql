-- The list of ends begins with transactions: that is what most people ask the way to.
select
    node.label as start_page,
    node.label as end_page,
    coalesce(sum(move.visits), 0) as visits,
    coalesce(sum(move.visits) filter (where node.kind = 'transaction'), 0) as goal_visits
from mart.node as node
left join (
    select node_id, sum(visits) as visits
    from mart.path_move
    group by node_id
) as move on node.node_id = move.node_id
group by node.label
