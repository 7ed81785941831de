{{ config(materialized='mart_view') }}
-- A node is shown by the name it was last seen with.
select
    n.node_id,
    n.code as node,
    n.kind,
    m.name,
    coalesce(m.name, n.code) as label
from {{ source('raw', 'node') }} as n
left join (
    select distinct on (node_id)
        node_id,
        name
    from {{ source('raw', 'node_name') }}
    order by node_id asc, last_at desc, name asc
) as m on n.node_id = m.node_id
