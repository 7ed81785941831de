-- The chosen page reaches the query only as a quoted literal (where_in) in this first subselect.
{% set period = get_time_filter('session_date') -%}
{% set channels = filter_values('channel') -%}
{% set pages = filter_values('chosen_page') -%}
with chosen as (
    select node, label
    from mart.node
    where
        {% if pages -%}
        label in {{ pages | where_in }}
        {%- else -%}
        node = (select from_node from mart.path_edge group by from_node order by sum(sessions) desc, from_node limit 1)
        {%- endif %}
),

edge as (
    select
        chosen.label as chosen_page,
        path.session_date,
        path.channel,
        path.step,
        path.from_node,
        path.to_node,
        path.sessions
    from (select distinct node, label from chosen) as chosen
    cross join lateral mart.paths_around(chosen.node, 2, 2) as path
    where
        true
        {% if period.from_expr %}and path.session_date >= {{ period.from_expr }}{% endif %}
        {% if period.to_expr %}and path.session_date < {{ period.to_expr }}{% endif %}
        {% if channels %}and path.channel in {{ channels | where_in }}{% endif %}
),

visit as (
    select chosen_page, step, from_node as node, sum(sessions) as sessions
    from edge
    where step < 0 and from_node <> '유입'
    group by chosen_page, step, from_node
    union all
    select chosen_page, step + 1, to_node, sum(sessions)
    from edge
    where step >= 0 and to_node <> '이탈'
    group by chosen_page, step, to_node
),

ranked as (
    select
        chosen_page,
        step,
        node,
        row_number() over (partition by chosen_page, step order by sessions desc, node) as place
    from visit
),

name as (
    select node, min(label) as label
    from mart.node
    group by node
),

shown as (
    select ranked.chosen_page, ranked.step, ranked.node, coalesce(name.label, ranked.node) as label
    from ranked
    left join name on ranked.node = name.node
    where ranked.place <= 5
),

link as (
    select
        edge.chosen_page,
        edge.session_date,
        edge.channel,
        edge.step,
        case
            when edge.step = 0 then edge.chosen_page
            when edge.from_node = '유입' then {{ [entry] | where_in }}
            else coalesce(source.label, {{ [other] | where_in }})
        end as source,
        case
            when edge.step = -1 then edge.chosen_page
            when edge.to_node = '이탈' then {{ [exit] | where_in }}
            else coalesce(target.label, {{ [other] | where_in }})
        end as target,
        edge.sessions
    from edge
    left join shown as source
        on edge.chosen_page = source.chosen_page and edge.step = source.step and edge.from_node = source.node
    left join shown as target
        on edge.chosen_page = target.chosen_page and edge.step + 1 = target.step and edge.to_node = target.node
    union all
    -- Who came in with the chosen page or left with it stays in the picture, so that each step adds up.
    select chosen_page, session_date, channel, -2, {{ [entry] | where_in }}, {{ [entry] | where_in }}, sessions
    from edge
    where step = -1 and from_node = '유입'
    union all
    select chosen_page, session_date, channel, 1, {{ [exit] | where_in }}, {{ [exit] | where_in }}, sessions
    from edge
    where step = 0 and to_node = '이탈'
)

select
    chosen_page,
    session_date,
    channel,
    case when step > 0 then '+' else '' end || step || ' · ' || source as source,
    case when step + 1 > 0 then '+' else '' end || step + 1 || ' · ' || target as target,
    sum(sessions) as sessions
from link
group by chosen_page, session_date, channel, step, link.source, link.target
