{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %},

{% include '_steps.sql' %}

select
    chosen.label as step_page,
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    chosen.step_no::integer as step_no,
    chosen.step_no || '. ' || chosen.label as step,
    walked.reached,
    walked.exited
from asked
cross join scope
cross join lateral mart.paths_steps(
    nodes => asked.nodes, segments => array[coalesce(scope.segment_id, 'all')],
    from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
    device_type => scope.device_type
) as walked
inner join chosen on walked.step_no = chosen.step_no
