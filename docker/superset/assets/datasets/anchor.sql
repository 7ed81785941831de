with known as (
    select
        case node.kind when 'transaction' then node.kind else 'page' end || ':' || node.node as code,
        node.label || ' · '
        || case when node.kind = 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end as anchor,
        coalesce(edge.sessions, 0) as visits
    from mart.node as node
    left join (
        select from_node, sum(sessions) as sessions
        from mart.path_edge
        group by from_node
    ) as edge on node.node = edge.from_node
    union all
    select
        'error:' || error.error_code,
        error.error_code || ' · ' || {{ [error] | where_in }},
        sum(error.errors)
    from mart.error_page as error
    where error.error_code <> '(none)'
    group by 1, 2
)

select anchor, sum(visits) as visits
from known
{% if only_anchors %}where code in {{ only_anchors | where_in }}{% endif %}
group by anchor
