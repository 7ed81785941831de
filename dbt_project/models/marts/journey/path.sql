{{ config(materialized='mart_view') }}
-- Summed again by name: a page and a cleaned URL path or transaction may share a code.
select
    p.session_date,
    t.path,
    sum(p.sessions)::bigint as sessions
from (
    select
        session_date,
        left(path, 10) as nodes,
        sum(sessions) as sessions
    from {{ ref('path_count') }}
    group by 1, 2
) as p
cross join lateral (
    select string_agg(n.node, ' > ' order by c.step_no) as path
    from string_to_table(p.nodes, null) with ordinality as c (node_char, step_no)
    inner join {{ source('raw', 'node') }} as n on raw.char_node(c.node_char) = n.node_id
) as t
group by 1, 2
