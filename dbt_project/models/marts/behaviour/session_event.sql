{{ config(
    key=['visitor_key', 'event_at', 'row_id'],
    replaces="exists (select from build.int_session__touched as t where t.visitor_key = m.visitor_key and t.started_at = m.started_at)",
) }}
-- depends_on: {{ ref('int_session__touched') }}
{% set policy = session_policy() %}
with accepted as (
    select
        row_id,
        event_at,
        visitor_key,
        customer_key,
        node_id,
        agent_key,
        inflow_key,
        error_key,
        action_id
    from {{ new_lines('event') }} as e
    where
        not exists (select from {{ computed('line_duplicate') }} as d where d.row_id = e.row_id)
        and not exists (select from {{ computed('line_bot') }} as b where b.row_id = e.row_id)
    {%- if not is_full() %}
    union all
    select
        m.row_id,
        m.event_at,
        m.visitor_key,
        m.customer_key,
        m.node_id,
        m.agent_key,
        m.inflow_key,
        m.error_key,
        m.action_id
    from {{ ref('int_session__touched') }} as t
    inner join {{ published('session_event') }} as m
        on
            t.visitor_key = m.visitor_key
            and t.started_at = m.started_at
            and m.event_at between t.started_at and t.ended_at
    where
        -- no join: the planner takes the events of these sessions for one, and would compare each with all duplicates
        m.row_id not in (select d.row_id from {{ computed('line_duplicate') }} as d)
        {{ 'and not ' ~ is_gone('m.row_id') if has_gone() }}
    {%- endif %}
),

marked as (
    select
        a.*,
        row_number() over history as history_no,
        coalesce(node_id <> lag(node_id) over history, true) as is_other_node,
        coalesce(
            event_at - lag(event_at) over history > {{ seconds(policy.timeout_seconds) }}
            {%- if policy.cut_at_midnight %}
            or {{ business_date('event_at') }} <> lag({{ business_date('event_at') }}) over history
            {%- endif %}
            {%- if policy.cut_at_campaign %}
            -- a session is known by its visitor and start: of one moment there is one
            or coalesce(
                i.utm_campaign <> coalesce(lag(i.utm_campaign) over history, '')
                and event_at > lag(event_at) over history,
                false
            )
            {%- endif %},
            true
        ) as is_start
    from accepted as a
    {%- if policy.cut_at_campaign %}
    left join {{ source('raw', 'inflow') }} as i on a.inflow_key = i.inflow_key
    {%- endif %}
    window history as (partition by a.visitor_key order by a.event_at, a.row_id)
),

placed as (
    select
        *,
        max(event_at) filter (where is_start) over history as started_at,
        max(history_no) filter (where is_start) over history as start_no
    from marked
    window history as (partition by visitor_key order by event_at, row_id rows unbounded preceding)
)

select
    row_id,
    event_at,
    started_at,
    visitor_key,
    customer_key,
    node_id,
    agent_key,
    inflow_key,
    error_key,
    (history_no - start_no + 1)::integer as event_no,
    action_id,
    {{ 'is_start or is_other_node' if policy.collapse_repeats else 'true' }} as is_move
from placed
