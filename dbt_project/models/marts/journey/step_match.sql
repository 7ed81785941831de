{{ config(
    key=['condition_id', 'row_id'],
    replaces="(m.source_rank = 0 and exists (
            select from build.int_session__touched as t where t.visitor_key = m.visitor_key and t.started_at = m.started_at
        ))
        or (m.source_rank = 1 and (
            exists (select from build.transaction_fact as b where b.row_id = m.row_id)
            or exists (select from build.line_duplicate as d where d.row_id = m.row_id)
        ))",
    indexes=[['person_key'], ['visitor_key']],
) }}
-- depends_on: {{ ref('session_fact') }} {{ ref('transaction_fact') }} {{ ref('int_session__touched') }}
{% set screen = conditions('screen') %}
{% set transaction = conditions('transaction') %}
-- The aliases are those that definitions/conditions.py compiles to.
{% if screen -%}
select
    c.condition_id,
    e.row_id,
    e.event_at as matched_at,
    0::smallint as source_rank,
    coalesce(s.customer_key, e.customer_key, -e.visitor_key) as person_key,
    e.visitor_key,
    e.started_at
from {{ computed('session_event') }} as e
inner join {{ computed('session_fact') }} as s on e.visitor_key = s.visitor_key and e.started_at = s.started_at
inner join {{ source('raw', 'node') }} as n on e.node_id = n.node_id
inner join {{ source('raw', 'agent') }} as a on e.agent_key = a.agent_key
inner join {{ source('raw', 'action') }} as t on e.action_id = t.action_id
left join {{ source('raw', 'inflow') }} as i on e.inflow_key = i.inflow_key
left join {{ source('raw', 'error') }} as r on e.error_key = r.error_key
left join {{ source('raw', 'clickstream') }} as d on e.row_id = d.row_id
{{ matched(screen) }}
{%- else -%}
select
    null::text as condition_id,
    e.row_id,
    e.event_at as matched_at,
    0::smallint as source_rank,
    e.customer_key as person_key,
    e.visitor_key,
    e.started_at
from {{ computed('session_event') }} as e
where false
{%- endif %}
{%- if transaction %}
union all
select
    c.condition_id,
    f.row_id,
    f.transacted_at as matched_at,
    1::smallint as source_rank,
    f.customer_key as person_key,
    f.session_visitor_key as visitor_key,
    f.started_at
from {{ computed('transaction_fact') }} as f
inner join {{ source('raw', 'node') }} as n on f.node_id = n.node_id
inner join {{ source('raw', 'transactions') }} as d on f.row_id = d.row_id
{{ matched(transaction) }}
{%- endif %}
