-- Nobody is shown, and nobody written down, until a behaviour and a purpose are chosen. The filters act in here and not
-- around it, as in funnel_people.sql.
{% set behaviours = filter_values('behaviour') -%}
{% set purposes = filter_values('purpose') -%}
{% set period = get_time_filter('last_at', remove_filter=True) -%}
{% include '_filters.sql' %}
{% set segments = filter_values('segment', remove_filter=True) -%}
with {% include '_behaviour.sql' %},

{% include '_anchor.sql' %},

-- Moves in Main paths and in Before and after are too many to list; the chosen one begins with the name of its place.
place as (
    select listed.*
    from (
        select
            {{ [path] | where_in }} || ' · ' || step.step_no || ' · ' || label || ' (' || node || ')' as name,
            step.step_no,
            node as from_node,
            null::text as anchor,
            null::text as anchor_kind
        from node_name
        cross join generate_series(1, 6) as step (step_no)
        union all
        select {{ [around] | where_in }} || ' · ' || anchor, 0, null, code, kind
        from known
    ) as listed
    where {% if behaviours %}starts_with({{ [behaviours[0]] | where_in }}, listed.name){% else %}false{% endif %}
),

ending as (
    select node, label || ' (' || node || ')' as name
    from node_name
    union all
    select * from (values ('유입', {{ [entry] | where_in }}), ('이탈', {{ [exit] | where_in }})) as word
),

move as (
    select name, step_no, from_node, null::text as to_node, anchor, anchor_kind
    from place
    where anchor is null
    union all
    select
        place.name || ' → ' || case when anchor is null then '' else '+' end || place.step_no + 1 || ' · ' || ending.name,
        place.step_no,
        place.from_node,
        ending.node,
        place.anchor,
        place.anchor_kind
    from place
    cross join ending
    where ending.node <> '유입'
    union all
    select place.name || ' ← -1 · ' || ending.name, -1, ending.node, null, place.anchor, place.anchor_kind
    from place
    cross join ending
    where place.anchor is not null and ending.node <> '이탈'
),

chosen as (
    select behaviour, kind, code, error_code, null::integer as step, null::text as to_node, null::text as anchor, null::text as anchor_kind
    from behaviour
    union all
    select name, 'path', from_node, null, step_no, to_node, anchor, anchor_kind
    from move
)

select
    chosen.behaviour,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    null::text as segment,
    customer.customer_id,
    mart.dashboard_link(
        {{ [single_view] | where_in }}, jsonb_build_object('customer_id', customer.customer_id), customer.customer_id
    ) as customer_shown,
    customer.times,
    customer.last_at,
    to_char(customer.last_at, 'YYYY-MM-DD HH24:MI') as last_shown,
    customer.score,
    (
        select string_agg(
            case {{ [language] | where_in }} when 'ko' then rule.label_ko else rule.label_en end, ', ' order by reason.place
        )
        from unnest(customer.rule_ids) with ordinality as reason (rule_id, place)
        inner join mart.definition as rule on reason.rule_id = rule.definition_id and rule.kind = 'rules'
    ) as reasons
from chosen
cross join lateral mart.behaviour_customers(
    viewer => {{ [current_username()] | where_in }},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %},
    kind => chosen.kind,
    code => chosen.code,
    error_code => chosen.error_code,
    from_date => {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date,
    to_date => {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::date - 1,
    step => chosen.step,
    to_node => chosen.to_node,
    anchor => chosen.anchor,
    anchor_kind => chosen.anchor_kind,
    {% include '_chosen.sql' %}

) as customer
where {% if behaviours %}chosen.behaviour in {{ [behaviours[0]] | where_in }}{% else %}false{% endif %}
