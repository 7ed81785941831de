with {% include '_visited.sql' %},

known as (
    select
        case node.kind when 'transaction' then node.kind else 'page' end || ':' || node.node as code,
        node.label || ' · '
        || case when node.kind = 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end as anchor,
        coalesce(visited.visits, 0) as visits
    from mart.node as node
    left join visited on node.node_id = visited.node_id
    union all
    select
        'error:' || error.error_code,
        error.error_code || ' · ' || {{ [error] | where_in }},
        sum(error.errors)
    from mart.error_page as error
    where error.error_code <> '(none)'
    group by 1, 2
)

{% if only_anchors -%}
-- In the order in which a pack names them: the first is shown until another is chosen.
select known.anchor, max(-listed.place) as standing
from known
inner join jsonb_array_elements_text(jsonb_build_array{{ only_anchors | where_in }}) with ordinality as listed (code, place)
    on known.code = listed.code
{%- else -%}
select known.anchor, sum(known.visits) as standing
from known
{%- endif %}
group by known.anchor
