{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %}

-- Nodes are numbered by step: a Sankey diagram must not contain loops.
select
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    path.step_no,
    path.step_no || ' · ' || coalesce(source.label, path.from_node) as source,
    path.step_no + 1 || ' · ' || coalesce(target.label, path.to_node) as target,
    path.sessions
from scope
cross join lateral mart.paths_main(
    depth => 5, top_k => 6,
    from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
    segment => scope.segment_id, device_type => scope.device_type
) as path
left join name as source on path.from_node = source.node
left join name as target on path.to_node = target.node
