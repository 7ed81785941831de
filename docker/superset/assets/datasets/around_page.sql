-- The chosen page reaches the query only as a quoted literal (where_in) in this first subselect.
{% set period = get_time_filter('session_date') -%}
{% set channels = filter_values('channel') -%}
{% set pages = filter_values('chosen_page') -%}
with chosen as (
    select
        node,
        case kind when 'transaction' then kind else 'page' end as kind,
        min(label) as label
    from mart.node
    where
        {% if pages -%}
        label in {{ pages | where_in }}
        {%- else -%}
        node = (select from_node from mart.path_edge group by from_node order by sum(sessions) desc, from_node limit 1)
        {%- endif %}
    group by 1, 2
),

-- The function counts within the filters; the two columns only carry them past Superset's own filter.
scope as (
    select
        {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date as from_date,
        {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::date - 1 as to_date,
        channel
    {% if channels -%}
    from (select distinct channel from mart.session_daily where channel in {{ channels | where_in }}) as chosen_channel
    {%- else -%}
    from (select null::text as channel) as every_channel
    {%- endif %}
),

edge as (
    select
        chosen.label as chosen_page,
        coalesce(scope.from_date, scope.to_date) as session_date,
        scope.channel,
        path.step,
        path.from_node,
        path.to_node,
        path.sessions
    from chosen
    cross join scope
    cross join lateral mart.paths_around(
        node => chosen.node, before => 2, after => 2, kind => chosen.kind,
        from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel
    ) as path
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
            when edge.from_node = '이탈' then {{ [exit] | where_in }}
            else coalesce(source.label, {{ [other] | where_in }})
        end as source,
        case
            when edge.step = -1 then edge.chosen_page
            when edge.to_node = '이탈' then {{ [exit] | where_in }}
            when edge.to_node = '유입' then {{ [entry] | where_in }}
            else coalesce(target.label, {{ [other] | where_in }})
        end as target,
        edge.sessions
    from edge
    left join shown as source
        on edge.chosen_page = source.chosen_page and edge.step = source.step and edge.from_node = source.node
    left join shown as target
        on edge.chosen_page = target.chosen_page and edge.step + 1 = target.step and edge.to_node = target.node
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
