-- Two versions of a definition are two different questions: only the current one is shown. The daily numbers are of
-- everybody; with a channel, domain, device or segment each day is counted anew.
{% set period = get_time_filter('entry_date') -%}
{% set segments = filter_values('segment') -%}
{% set own_roles = current_user_roles() -%}
{% include '_scope.sql' %},

{% include '_funnel.sql' %},

counted as (
    {% if channels or domains or devices or segments -%}
    select
        day.entry_date,
        asked.funnel_id,
        scope.channel,
        scope.domain,
        scope.device_type,
        scope.segment,
        step.step_no,
        step.entered,
        step.converted,
        step.dropped,
        step.still_open,
        step.tie_decided
    from asked
    inner join (
        select distinct funnel_id, version, entry_date
        from mart.funnel_step
        where
            true
            {% if period.from_expr %}and entry_date >= {{ period.from_expr }}{% endif %}
            {% if period.to_expr %}and entry_date < {{ period.to_expr }}{% endif %}
    ) as day on asked.funnel_id = day.funnel_id and asked.version = day.version
    cross join scope
    cross join lateral mart.funnel(
        funnel_id => asked.funnel_id, from_date => day.entry_date, to_date => day.entry_date,
        channel => scope.channel, domain => scope.domain, segment => scope.segment_id,
        device_type => scope.device_type
    ) as step
    {%- else -%}
    select
        step.entry_date,
        step.funnel_id,
        null::text as channel,
        null::text as domain,
        null::text as device_type,
        null::text as segment,
        step.step_no,
        step.entered,
        step.converted,
        step.dropped,
        step.still_open,
        step.tie_decided
    from asked
    inner join mart.funnel_step as step on asked.funnel_id = step.funnel_id and asked.version = step.version
    where step.segment_id = 'all'
    {%- endif %}
)

select
    counted.entry_date,
    counted.funnel_id,
    asked.owner,
    asked.funnel,
    counted.channel,
    counted.domain,
    counted.device_type,
    counted.segment,
    counted.step_no,
    counted.step_no || '. ' || asked.step_names[counted.step_no] as step,
    {% if people_roles | select('in', own_roles or []) | list -%}
    mart.dashboard_link(
        {{ [people] | where_in }},
        jsonb_build_object(
            'step', asked.funnel || ' · ' || counted.step_no || '. ' || asked.step_names[counted.step_no],
            'outcome', {{ [all_people] | where_in }}
        ) || {% include '_carried.sql' %},
        counted.step_no || '. ' || asked.step_names[counted.step_no]
    )
    {%- else -%}
    counted.step_no || '. ' || asked.step_names[counted.step_no]
    {%- endif %} as step_shown,
    counted.entered,
    case when counted.step_no = asked.steps then counted.converted end as finished,
    counted.dropped,
    counted.still_open,
    counted.tie_decided
from counted
inner join asked on counted.funnel_id = asked.funnel_id
