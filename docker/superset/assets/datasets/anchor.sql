select
    node.label || ' · ' || case when node.kind = 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end
        as anchor,
    coalesce(sum(edge.sessions), 0) as visits
from mart.node as node
left join (
    select from_node, sum(sessions) as sessions
    from mart.path_edge
    group by from_node
) as edge on node.node = edge.from_node
group by 1
union all
select
    error.error_code || ' · ' || {{ [error] | where_in }},
    sum(error.errors)
from mart.error_page as error
where error.error_code <> '(none)'
group by 1
