{{ config(materialized='mart_view') }}
-- A transaction is shown by the name in its definition, any other node by the name it was last seen with: looked up
-- node by node, because most who ask want a few. A label is marked like raw.node.node, and has the name of a domain of
-- pages.yml before it as that has: charts tell nodes apart by it.
select
    n.node_id,
    n.node,
    n.code,
    n.kind,
    coalesce(t.content #>> '{label,ko}', m.name) as name,
    regexp_replace(
        case when right(n.node, length(n.code)) = n.code then left(n.node, length(n.node) - length(n.code)) else '' end
        || coalesce(t.content #>> '{label,ko}', m.name, n.code), '^(유입|이탈|기타|Entry|Exit|Other)\**$', '\&*'
    ) as label
from {{ source('raw', 'node') }} as n
left join {{ source('config', 'transaction_code') }} as t on n.kind = 'transaction' and n.code = t.transaction_code
left join lateral (
    select s.name
    from {{ source('raw', 'node_name') }} as s
    where s.node_id = n.node_id
    order by s.last_at desc, s.name asc
    limit 1
) as m on true
