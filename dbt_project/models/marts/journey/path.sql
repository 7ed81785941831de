{{ config(materialized='mart_view') }}
select
    p.session_date,
    t.path,
    p.sessions
from (
    select
        session_date,
        left(path, 10) as nodes,
        sum(sessions)::bigint as sessions
    from {{ ref('path_count') }}
    group by 1, 2
) as p
cross join lateral (
    select string_agg(n.node, ' > ' order by c.step_no) as path
    from string_to_table(p.nodes, null) with ordinality as c (node_char, step_no)
    inner join {{ source('raw', 'node') }} as n on raw.char_node(c.node_char) = n.node_id
) as t
