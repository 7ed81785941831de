-- The same funnel for everybody, for each segment, and for each value of its own breakdown.
{% set period = get_time_filter('entry_date') -%}
{% include '_scope.sql' %},

{% include '_funnel.sql' %},

people as (
    select 1 as kind_no, null::text as segment_id, {{ [everybody] | where_in }} as people
    union all
    select 2, segment_id, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end
    from mart.segment
    {% if only_segments %}where segment_id in {{ only_segments | where_in }}{% endif %}
),

counted as (
    select
        scope.session_date,
        scope.channel,
        scope.domain,
        scope.device_type,
        people.kind_no,
        people.people,
        asked.funnel_id,
        step.step_no,
        step.entered,
        step.converted,
        step.still_open
    from asked
    cross join scope
    cross join people
    cross join lateral mart.funnel(
        funnel_id => asked.funnel_id, from_date => scope.from_date, to_date => scope.to_date,
        channel => scope.channel, domain => scope.domain, segment => people.segment_id,
        device_type => scope.device_type
    ) as step
    union all
    select
        scope.session_date,
        scope.channel,
        scope.domain,
        scope.device_type,
        3,
        step.breakdown,
        asked.funnel_id,
        step.step_no,
        step.entered,
        step.converted,
        step.still_open
    from asked
    cross join scope
    cross join lateral mart.funnel(
        funnel_id => asked.funnel_id, from_date => scope.from_date, to_date => scope.to_date,
        channel => scope.channel, domain => scope.domain, breakdown_by => 'breakdown',
        device_type => scope.device_type
    ) as step
    where step.breakdown <> 'all'
)

select
    counted.session_date as entry_date,
    asked.funnel_id,
    asked.owner,
    asked.funnel,
    counted.channel,
    counted.domain,
    counted.device_type,
    counted.kind_no,
    counted.people,
    counted.step_no,
    counted.entered,
    case when counted.step_no = asked.steps then counted.converted end as finished,
    counted.still_open
from counted
inner join asked on counted.funnel_id = asked.funnel_id
