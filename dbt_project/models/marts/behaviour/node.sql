{{ config(materialized='mart_view') }}
-- A transaction is shown by the name in its definition, any other node by the name it was last seen with.
select
    n.node_id,
    n.code as node,
    n.kind,
    coalesce(t.content #>> '{label,ko}', m.name) as name,
    coalesce(t.content #>> '{label,ko}', m.name, n.code) as label
from {{ source('raw', 'node') }} as n
left join {{ source('config', 'transaction_code') }} as t on n.kind = 'transaction' and n.code = t.transaction_code
left join (
    select distinct on (node_id)
        node_id,
        name
    from {{ source('raw', 'node_name') }}
    order by node_id asc, last_at desc, name asc
) as m on n.node_id = m.node_id
