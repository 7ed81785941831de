with {% include '_visited.sql' %}

select
    node.label as step_page,
    coalesce(sum(visited.visits), 0) as visits
from mart.node as node
left join visited on node.node_id = visited.node_id
group by node.label
