{{ config(
    key=['visitor_key', 'started_at'],
    replaces="exists (select from build.int_session__touched as t where t.visitor_key = m.visitor_key and t.started_at = m.started_at)",
    indexes=[['customer_key', 'started_at'], ['session_date']],
    refers={
        'visitor_key': 'visitor.visitor_key', 'customer_key': 'customer.customer_key', 'entry_node_id': 'node.node_id',
        'exit_node_id': 'node.node_id', 'agent_key': 'agent.agent_key', 'inflow_key': 'inflow.inflow_key',
    },
) }}
-- Transactions are nodes of the path like pages, and errors have a place in it; only sessions that have any of them are
-- put together again.
with linked as (
    select
        t.session_visitor_key as visitor_key,
        t.started_at,
        t.transacted_at,
        t.node_id,
        t.row_id,
        t.is_failed,
        t.amount_krw
    from {{ ref('transaction_fact') }} as t
    {%- if not is_full() %}
    inner join {{ ref('int_session__aggregated') }} as s
        on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
    {%- else %}
    where t.started_at is not null
    {%- endif %}
),

total as (
    select
        visitor_key,
        started_at,
        count(*)::integer as transactions,
        count(*) filter (where is_failed)::integer as failed_transactions,
        sum(amount_krw) filter (where not is_failed) as amount_krw
    from linked
    group by visitor_key, started_at
),

mixed as (
    select
        s.visitor_key,
        s.started_at
    from {{ ref('int_session__aggregated') }} as s
    left join total as t on s.visitor_key = t.visitor_key and s.started_at = t.started_at
    where s.errors > 0 or t.transactions > 0
),

step as (
    select
        visitor_key,
        started_at,
        transacted_at as happened_at,
        1 as source_rank,
        row_id,
        node_id,
        null::integer as error_key,
        true as is_step
    from linked
    union all
    select
        e.visitor_key,
        e.started_at,
        e.event_at as happened_at,
        0 as source_rank,
        e.row_id,
        e.node_id,
        e.error_key,
        e.is_move as is_step
    from {{ computed('session_event') }} as e
    inner join mixed as x on e.visitor_key = x.visitor_key and e.started_at = x.started_at
    where e.is_move or e.error_key is not null
),

move as (
    select
        *,
        {% if session_policy().collapse_repeats -%}
        is_step and coalesce(
            node_id <> lag(node_id) over (
                partition by visitor_key, started_at, is_step order by happened_at, source_rank, row_id
            ),
            true
        )
        {%- else -%}
        is_step
        {%- endif %} as is_move
    from step
),

placed as (
    select
        *,
        count(*) filter (where is_move) over (
            partition by visitor_key, started_at order by happened_at, source_rank, row_id
        )::integer as step_no
    from move
),

travelled as (
    select
        visitor_key,
        started_at,
        {%- for name, value, condition in [
            ('path_times', 'happened_at', 'is_move'),
            ('error_keys', 'error_key', 'error_key is not null'),
            ('error_steps', 'step_no', 'error_key is not null'),
        ] %}
        array_agg({{ value }} order by happened_at, source_rank, row_id) filter (where {{ condition }}) as {{ name }},
        {%- endfor %}
        string_agg(raw.node_char(node_id), '' order by happened_at, source_rank, row_id) filter (where is_move) as path
    from placed
    group by visitor_key, started_at
),

complete as (
    select
        s.*,
        coalesce(t.transactions, 0) as transactions,
        coalesce(t.failed_transactions, 0) as failed_transactions,
        coalesce(t.amount_krw, 0)::numeric(38, 2) as amount_krw,
        coalesce(p.path, s.path) as full_path,
        coalesce(p.path_times, s.path_times) as full_path_times,
        p.error_keys,
        p.error_steps
    from {{ ref('int_session__aggregated') }} as s
    left join total as t on s.visitor_key = t.visitor_key and s.started_at = t.started_at
    left join travelled as p on s.visitor_key = p.visitor_key and s.started_at = p.started_at
)

select
    md5(v.visitor_id || '|' || (extract(epoch from c.started_at) * 1000000)::bigint)::uuid as session_id,
    c.visitor_key,
    c.started_at,
    c.ended_at,
    {{ business_date('c.started_at') }} as session_date,
    c.customer_key,
    c.events,
    c.pages,
    c.errors,
    c.transactions,
    c.failed_transactions,
    c.amount_krw,
    raw.char_node(left(c.full_path, 1)) as entry_node_id,
    raw.char_node(right(c.full_path, 1)) as exit_node_id,
    c.agent_key,
    c.inflow_key,
    c.full_path as path,
    c.identity_rule,
    c.full_path_times as path_times,
    c.error_keys,
    c.error_steps,
    c.exit_menu
from complete as c
inner join {{ source('raw', 'visitor') }} as v on c.visitor_key = v.visitor_key
