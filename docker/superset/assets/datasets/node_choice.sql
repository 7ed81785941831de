-- The list of ends begins with transactions: that is what most people ask the way to.
with {% include '_visited.sql' %}

select
    node.label as start_page,
    node.label as end_page,
    coalesce(sum(visited.visits), 0) as visits,
    coalesce(sum(visited.visits) filter (where node.kind = 'transaction'), 0) as goal_visits
from mart.node as node
left join visited on node.node_id = visited.node_id
group by node.label
