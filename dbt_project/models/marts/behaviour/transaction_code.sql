{{ config(materialized='mart_view') }}
-- What is defined and what has been seen. A code without a definition is shown by its code, one without data has no
-- dates.
select
    coalesce(t.transaction_code, s.code) as transaction_code,
    coalesce(t.content #>> '{label,ko}', s.code) as name_ko,
    coalesce(t.content #>> '{label,en}', s.code) as name_en,
    t.content #>> '{category,ko}' as category_ko,
    t.content #>> '{category,en}' as category_en,
    t.transaction_code is not null as is_defined,
    array(
        select jsonb_array_elements_text(t.content -> 'channels')
        union
        select unnest(s.channels)
        order by 1
    ) as channels,
    (
        select string_agg(concat_ws(' ', i.item ->> 'name', i.item #>> '{label,ko}'), ', ' order by i.position)
        from jsonb_array_elements(t.content -> 'items') with ordinality as i (item, position)
    ) as item_list,
    t.content -> 'items' as items,
    s.first_seen_date,
    s.last_seen_date,
    coalesce(s.transactions, 0) as transactions,
    coalesce(s.failed, 0) as failed
from {{ source('config', 'transaction_code') }} as t
full join (
    select
        n.code,
        min(d.transaction_date) as first_seen_date,
        max(d.transaction_date) as last_seen_date,
        sum(d.transactions)::bigint as transactions,
        sum(d.failed)::bigint as failed,
        array_agg(distinct d.channel) as channels
    from {{ ref('transaction_daily') }} as d
    inner join {{ source('raw', 'node') }} as n on d.node_id = n.node_id
    group by 1
) as s on t.transaction_code = s.code
