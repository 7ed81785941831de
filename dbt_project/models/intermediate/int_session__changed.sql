{{ config(materialized='ephemeral') }}
-- depends_on: {{ ref('int_session__touched') }}
-- Every session that appears (+1) or disappears (-1) in this run; counters move by these signs.
with signed as (
    select
        1 as sign,
        n.*
    from {{ computed('session_fact') }} as n
    {%- if not is_full() %}
    union all
    select
        -1 as sign,
        m.*
    from {{ ref('int_session__touched') }} as t
    inner join {{ published('session_fact') }} as m on t.visitor_key = m.visitor_key and t.started_at = m.started_at
    {%- endif %}
)

select
    s.*,
    a.channel,
    coalesce(a.domain, '(none)') as domain,
    coalesce(a.device_type, '(none)') as device_type
from signed as s
inner join {{ source('raw', 'agent') }} as a on s.agent_key = a.agent_key
