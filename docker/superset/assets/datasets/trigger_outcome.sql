{% set period = get_time_filter('created_date') -%}
{% set own_roles = current_user_roles() -%}
-- Links are made once for each rule, not for each of its triggers.
with rule as materialized (
    select
        named.definition_id,
        named.label,
        {% if campaigns_roles | select('in', own_roles or []) | list -%}
        mart.dashboard_link(
            {{ [campaigns] | where_in }}, jsonb_build_object('rule', named.label) || {% include '_carried.sql' %}, named.label
        )
        {%- else -%}
        named.label
        {%- endif %} as shown
    from (
        select
            definition_id,
            case {{ [language] | where_in }} when 'ko' then label_ko else label_en end as label
        from mart.definition
        where kind = 'rules'
    ) as named
)

select
    outcome.owner,
    rule.label as rule,
    rule.shown as rule_shown,
    coalesce(
        case {{ [language] | where_in }} when 'ko' then message.label_ko else message.label_en end, outcome.message_id
    ) as message,
    case outcome.action
        when 'popup' then {{ [popup] | where_in }}
        when 'survey' then {{ [survey] | where_in }}
        when 'redirect' then {{ [redirect] | where_in }}
        when 'campaign' then {{ [campaign] | where_in }}
    end as action,
    outcome.created_date,
    outcome.is_answered,
    outcome.is_shown,
    outcome.is_clicked,
    outcome.is_expired
from mart.trigger_outcome as outcome
inner join rule on outcome.rule_id = rule.definition_id
left join mart.definition as message on message.kind = 'messages' and outcome.message_id = message.definition_id
