{{ config(
    key=['session_date', 'channel', 'path'],
    keep='b.visits > 0',
    indexes=[['node_id']],
    refers={'node_id': 'node.node_id', 'next_node_id': 'node.node_id'},
) }}
-- Without order while they are gathered: few kinds of move, many moves, so they are hashed, and each kind sorted by
-- itself, once: materialized, or the array would be sorted again to be counted. Of sessions that only change hands
-- nothing moves, and the times of the pages they went through stay as they are.
{% set columns = 'visitor_key, started_at, ended_at, session_date, channel, path, path_times' %}
with changed as (
    select
        s.session_date,
        s.channel,
        substr(s.path, g.step_no, 2) as path,
        {%- for name, sign in [('come', '>'), ('gone', '<')] %}
        -- a transaction may belong to a session and yet lie after its last event: nothing follows in less than no time
        array_agg(
            greatest(
                date_part('epoch', coalesce(s.path_times[g.step_no + 1], s.ended_at) - s.path_times[g.step_no]), 0
            )
        ) filter (where s.sign {{ sign }} 0) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            {{ columns }},
            sum(sign) as sign
        from {{ changed_sessions() }} as changed
        group by {{ columns }}
        having sum(sign) <> 0
    ) as s
    cross join lateral generate_series(1, length(s.path)) as g (step_no)
    group by s.session_date, s.channel, substr(s.path, g.step_no, 2)
),

stayed as materialized (
    select
        c.session_date,
        c.channel,
        c.path,
        {{ times_left('m.stays', 'c.come', 'c.gone') }} as stays
    from changed as c
    {%- if not is_full() %}
    -- one by one: a plain join would read the whole table
    left join lateral (
        select o.stays
        from {{ published('path_move') }} as o
        where o.session_date = c.session_date and o.channel = c.channel and o.path = c.path
        offset 0
    ) as m on true
    {%- endif %}
)

select
    session_date,
    channel,
    path,
    raw.char_node(left(path, 1)) as node_id,
    raw.char_node(nullif(substr(path, 2), '')) as next_node_id,
    cardinality(stays)::bigint as visits,
    stays
from stayed
