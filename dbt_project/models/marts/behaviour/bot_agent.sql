{{ config(key=['agent_key']) }}
-- depends_on: {{ ref('int_run__event') }}
select a.agent_key
from {{ source('raw', 'agent') }} as a
where
    a.user_agent ~* (select string_agg(p.pattern, '|') from {{ ref('bot_pattern') }} as p)
    {%- if not is_full() %}
    and a.agent_key in (select e.agent_key from {{ new_lines('event') }} as e)
    {%- endif %}
