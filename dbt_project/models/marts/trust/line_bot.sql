{{ config(
    key=['row_id'],
    replaces=[
        "exists (select from build.line_bot as b where b.row_id = m.row_id)",
        "exists (select from build.line_duplicate as d where d.row_id = m.row_id)",
    ],
) }}
select
    e.row_id,
    e.agent_key
from {{ new_lines('event') }} as e
where
    {{ 'true' if session_policy().exclude_bots else 'false' }}
    and e.agent_key in (select b.agent_key from {{ ref('bot_agent') }} as b)
    and not exists (select from {{ computed('line_duplicate') }} as d where d.row_id = e.row_id)
