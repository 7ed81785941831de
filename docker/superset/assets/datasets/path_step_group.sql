{% set period = get_time_filter('session_date') -%}
{% include '_scope.sql' %},

{% include '_steps.sql' %},

people as (
    select 1 as kind_no, 'all' as segment_id, {{ [everybody] | where_in }} as people
    union all
    select 2, segment_id, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end
    from mart.segment
)

select
    chosen.label as step_page,
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    people.kind_no,
    people.people,
    chosen.step_no::integer as step_no,
    chosen.step_no || '. ' || chosen.label as step,
    walked.reached
from asked
cross join scope
cross join people
cross join lateral mart.paths_steps(
    nodes => asked.nodes, segments => array[people.segment_id],
    from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
    device_type => scope.device_type
) as walked
inner join chosen on walked.step_no = chosen.step_no
