{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %},

{% set starts = filter_values('start_page') -%}
{% set ends = filter_values('end_page') -%}
{% set journey_names = filter_values('journey') -%}
{% include '_journeys.sql' %},

popular as (
    select node.node, node.kind, node.label, sum(edge.sessions) as sessions
    from mart.path_edge as edge
    inner join mart.node as node on edge.from_node = node.node
    group by node.node, node.kind, node.label
),

ends_chosen as (
    select distinct
        first.node as start_node,
        first.label as start_page,
        last.node as end_node,
        last.label as end_page
    from mart.node as first
    cross join mart.node as last
    where
        {% if starts -%}
        first.label in {{ starts | where_in }}
        {%- elif only_starts -%}
        first.node in {{ only_starts | where_in }}
        {%- else -%}
        first.node = (select node from popular order by sessions desc, node limit 1)
        {%- endif %}
        {% if ends -%}
        and last.label in {{ ends | where_in }}
        {%- elif only_ends -%}
        and last.node in {{ only_ends | where_in }}
        {%- else -%}
        and last.node = (select node from popular order by kind = 'transaction' desc, sessions desc, node limit 1)
        {%- endif %}
),

way as (
    select
        ends_chosen.start_page,
        ends_chosen.end_page,
        journeys.journey,
        scope.session_date,
        scope.channel,
        scope.domain,
        scope.device_type,
        scope.segment,
        path.path,
        path.sessions,
        path.median_seconds
    from ends_chosen
    cross join scope
    cross join journeys
    -- By position: an argument called end would lose its quotes on the way through Superset's parser.
    cross join lateral mart.paths_between(
        ends_chosen.start_node, ends_chosen.end_node, 100, null,
        scope.from_date, scope.to_date, scope.channel, scope.domain, scope.segment_id, scope.device_type,
        journeys.within
    ) as path
    {% if journey_names -%}
    where journeys.journey in {{ journey_names | where_in }}
    {%- else -%}
    where journeys.within is null
    {%- endif %}
)

select
    way.start_page,
    way.end_page,
    way.journey,
    way.session_date,
    way.channel,
    way.domain,
    way.device_type,
    way.segment,
    case way.path
        when '이탈' then {{ [missed] | where_in }}
        when '기타' then {{ [others] | where_in }}
        else shown.path
    end as way,
    way.path <> '이탈' as is_reached,
    case when way.path not in ('이탈', '기타') then shown.steps end as steps,
    way.sessions,
    way.median_seconds
from way
left join lateral (
    select
        string_agg(
            coalesce(
                name.label, case step.node when '(consultation)' then {{ [consultation] | where_in }} end, step.node
            ),
            ' → ' order by step.step_no
        ) as path,
        count(*) - 1 as steps
    from string_to_table(way.path, ' > ') with ordinality as step (node, step_no)
    left join name on step.node = name.node
) as shown on true
