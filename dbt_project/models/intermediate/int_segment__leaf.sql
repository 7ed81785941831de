-- What the applied segments ask for, each thing once. pattern: of the paths of sessions, by the characters of their
-- nodes; null if it asks for none, or for a node that nobody has ever been at. forbidden: what they must not match.
with leaf as (
    select distinct l.leaf
    from {{ source('config', 'definition') }} as d
    cross join lateral jsonb_array_elements(d.content -> 'leaves') as l (leaf)
    where d.kind = 'segments' and d.retired_at is null
)

select
    l.leaf ->> 'leaf_id' as leaf_id,
    l.leaf ->> 'condition_id' as condition_id,
    l.leaf ->> 'after_condition_id' as after_condition_id,
    l.leaf ->> 'rule_id' as rule_id,
    l.leaf #>> '{funnel,id}' as funnel_id,
    (l.leaf #>> '{funnel,step}')::integer as funnel_step,
    -- the next step that is not optional, as reports take it; null after the last
    f.next_step,
    f.count_by,
    coalesce(l.leaf #>> '{funnel,outcome}', 'entered') as outcome,
    l.leaf #>> '{funnel,breakdown}' as breakdown,
    coalesce((o.limits ->> 'from')::date, '-infinity') as from_date,
    coalesce((o.limits ->> 'to')::date, 'infinity') as to_date,
    o.limits ->> 'channel' as channel,
    o.limits ->> 'domain' as domain,
    o.limits ->> 'device_type' as device_type,
    o.limits ?| array['channel', 'domain', 'device_type'] as is_of_agents,
    (l.leaf ->> 'at_least')::integer as at_least,
    make_interval(secs => (l.leaf ->> 'within_seconds')::double precision) as time_within,
    coalesce('^.{' || (l.leaf #>> '{path,at_step}')::integer - 1 || '}', '')
    || w.walk
    || case when (l.leaf #>> '{path,ends}')::boolean then '$' else '' end as pattern,
    coalesce('^.{' || (l.leaf #>> '{path,at_step}')::integer - 1 || '}', '') || w.walk || '.*' || n.nodes as forbidden
from leaf as l
cross join lateral (select coalesce(l.leaf -> 'path', l.leaf -> 'funnel', '{}') as limits) as o
left join lateral (
    select
        d.content ->> 'count_by' as count_by,
        (
            select min(s.step_no)
            from jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
            where s.step_no > (l.leaf #>> '{funnel,step}')::integer and not (s.step ->> 'optional')::boolean
        ) as next_step
    from {{ source('config', 'definition') }} as d
    where d.kind = 'funnels' and d.retired_at is null and d.definition_id = l.leaf #>> '{funnel,id}'
) as f on true
left join lateral (
    select
        case when bool_and(c.nodes is not null) then
            string_agg(
                c.nodes, case when (l.leaf #>> '{path,directly}')::boolean then '' else '.*' end order by t.step_no
            )
        end as walk
    from jsonb_array_elements_text(l.leaf #> '{path,through}') with ordinality as t (code, step_no)
    left join lateral (
        select '[' || string_agg(raw.node_char(k.node_id), '') || ']' as nodes
        from {{ source('raw', 'node') }} as k
        where k.node = t.code
    ) as c on true
) as w on true
left join lateral (
    select '[' || string_agg(raw.node_char(k.node_id), '') || ']' as nodes
    from {{ source('raw', 'node') }} as k
    where k.node = l.leaf #>> '{path,not_then}'
) as n on true
