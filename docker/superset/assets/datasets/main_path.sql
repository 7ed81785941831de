{% set own_roles = current_user_roles() -%}
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
    {% if people_roles | select('in', own_roles or []) | list -%}
    case
        when path.from_node in ('기타', '이탈') then path.step_no || ' · ' || coalesce(source.label, path.from_node)
        else mart.dashboard_link(
            {{ [people] | where_in }},
            jsonb_build_object(
                'behaviour', {{ [path] | where_in }} || ' · ' || path.step_no || ' · ' || source.label || ' (' || path.from_node || ')'
            ) || {% include '_carried.sql' %},
            path.step_no || ' · ' || source.label
        )
    end as source_shown,
    case
        when path.from_node in ('기타', '이탈') or path.to_node = '기타'
            then path.step_no + 1 || ' · ' || coalesce(target.label, path.to_node)
        else mart.dashboard_link(
            {{ [people] | where_in }},
            jsonb_build_object(
                'behaviour', {{ [path] | where_in }} || ' · ' || path.step_no || ' · ' || source.label || ' (' || path.from_node || ')'
                || ' → ' || path.step_no + 1 || ' · ' || target.label
                || case when path.to_node <> '이탈' then ' (' || path.to_node || ')' else '' end
            ) || {% include '_carried.sql' %},
            path.step_no + 1 || ' · ' || target.label
        )
    end as target_shown,
    {%- else -%}
    path.step_no || ' · ' || coalesce(source.label, path.from_node) as source_shown,
    path.step_no + 1 || ' · ' || coalesce(target.label, path.to_node) as target_shown,
    {%- endif %}
    path.sessions
from scope
cross join lateral mart.paths_main(
    depth => 5, top_k => 6,
    from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
    segment => scope.segment_id, device_type => scope.device_type
) as path
left join name as source on path.from_node = source.node
left join name as target on path.to_node = target.node
