{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %}

select
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    coalesce(
        (
            select string_agg(coalesce(name.label, step.node), ' → ' order by step.step_no)
            from unnest(top.nodes) with ordinality as step (node, step_no)
            left join name on step.node = name.node
        ),
        {{ [other] | where_in }}
    ) as path,
    top.sessions
from scope
cross join lateral mart.paths_top(
    top_k => 50, from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel,
    domain => scope.domain, segment => scope.segment_id, device_type => scope.device_type
) as top
