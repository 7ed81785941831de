{% set own_roles = current_user_roles() -%}
{% set period = get_time_filter('detection_date') -%}
-- Links are made once for each rule, not for each hit.
with rule as materialized (
    select
        named.rule_id,
        named.rule,
        {% if people_roles | select('in', own_roles or []) | list -%}
        mart.dashboard_link(
            {{ [people] | where_in }},
            jsonb_build_object('behaviour', {{ [hits_of] | where_in }} || ' · ' || named.rule)
            || {% include '_carried.sql' %},
            named.rule
        )
        {%- else -%}
        named.rule
        {%- endif %} as rule_shown
    from (
        select
            definition_id as rule_id,
            case {{ [language] | where_in }} when 'ko' then label_ko else label_en end as rule
        from mart.definition
        where kind = 'rules'
    ) as named
)

select
    hit.owner,
    rule.rule,
    rule.rule_shown,
    hit.detection_date,
    hit.subject_key,
    hit.has_reached_goal,
    hit.is_goal_over,
    hit.latency_seconds,
    hit.is_today
from mart.detection_hit as hit
inner join rule on hit.rule_id = rule.rule_id
