-- The filters have to act before the ranking: a page's place among the top depends on dates and channel.
-- Dates come parsed from get_time_filter; every other value goes through where_in, which quotes it.
{% set period = get_time_filter('session_date') -%}
{% set channels = filter_values('channel') -%}
with edge as (
    select session_date, channel, step_no, from_node, to_node, sessions
    from mart.path_edge
    where
        step_no < 5
        {% if period.from_expr %}and session_date >= {{ period.from_expr }}{% endif %}
        {% if period.to_expr %}and session_date < {{ period.to_expr }}{% endif %}
        {% if channels %}and channel in {{ channels | where_in }}{% endif %}
),

visit as (
    select 1 as step_no, from_node as node, sum(sessions) as sessions
    from edge
    where step_no = 1
    group by from_node
    union all
    select step_no + 1, to_node, sum(sessions)
    from edge
    where to_node <> '이탈'
    group by step_no, to_node
),

ranked as (
    select step_no, node, row_number() over (partition by step_no order by sessions desc, node) as place
    from visit
),

-- A code may name a page and a transaction; one label per code keeps the sums right.
name as (
    select node, min(label) as label
    from mart.node
    group by node
),

shown as (
    select ranked.step_no, ranked.node, coalesce(name.label, ranked.node) as label
    from ranked
    left join name on ranked.node = name.node
    where ranked.place <= 6
),

link as (
    select
        edge.session_date,
        edge.channel,
        edge.step_no,
        coalesce(source.label, {{ [other] | where_in }}) as source,
        case
            when edge.to_node = '이탈' then {{ [exit] | where_in }}
            else coalesce(target.label, {{ [other] | where_in }})
        end as target,
        edge.sessions
    from edge
    left join shown as source on edge.step_no = source.step_no and edge.from_node = source.node
    left join shown as target on edge.step_no + 1 = target.step_no and edge.to_node = target.node
    union all
    -- Who has left stays in the picture, so that each step adds up to all sessions.
    select
        edge.session_date,
        edge.channel,
        later.step_no,
        {{ [exit] | where_in }},
        {{ [exit] | where_in }},
        edge.sessions
    from edge
    cross join generate_series(edge.step_no + 1, 4) as later (step_no)
    where edge.to_node = '이탈'
)

-- Nodes are numbered by step: a Sankey diagram must not contain loops.
select
    session_date,
    channel,
    step_no || ' · ' || source as source,
    step_no + 1 || ' · ' || target as target,
    sum(sessions) as sessions
from link
group by session_date, channel, step_no, link.source, link.target
