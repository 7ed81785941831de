-- The shares of two segments side by side. Not chosen: the first and the last defined.
{% set period = get_time_filter('session_date') -%}
{% include '_scope.sql' %},

{% set lefts = filter_values('segment_a') -%}
{% set rights = filter_values('segment_b') -%}
named as (
    select segment_id, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment
    from mart.segment
),

sides as (
    select left_side.segment_id as id_a, left_side.segment as segment_a, right_side.segment_id as id_b, right_side.segment as segment_b
    from named as left_side
    cross join named as right_side
    where
        {% if lefts -%}
        left_side.segment in {{ lefts | where_in }}
        {%- else -%}
        left_side.segment_id = (select min(segment_id) from named)
        {%- endif %}
        {% if rights -%}
        and right_side.segment in {{ rights | where_in }}
        {%- else -%}
        and right_side.segment_id = (select max(segment_id) from named)
        {%- endif %}
)

select
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    sides.segment_a,
    sides.segment_b,
    move.step_no,
    move.step_no || ' · ' || coalesce(source.label, move.from_node) as source,
    move.step_no + 1 || ' · ' || coalesce(target.label, move.to_node) as target,
    move.sessions_a,
    move.sessions_b,
    move.share_a,
    move.share_b,
    move.difference,
    move.difference_low,
    move.difference_high
from sides
cross join scope
cross join lateral mart.paths_compare(
    segment_a => sides.id_a, segment_b => sides.id_b, depth => 5,
    from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
    device_type => scope.device_type
) as move
left join name as source on move.from_node = source.node
left join name as target on move.to_node = target.node
where move.from_node <> '이탈'
