{% set period = get_time_filter('session_date') -%}
with total as (
    select path, min(session_date) as session_date, sum(sessions) as sessions
    from mart.path
    where
        true
        {% if period.from_expr %}and session_date >= {{ period.from_expr }}{% endif %}
        {% if period.to_expr %}and session_date < {{ period.to_expr }}{% endif %}
    group by path
),

ranked as (
    select total.*, row_number() over (order by sessions desc, path) as place
    from total
),

name as (
    select node, min(label) as label
    from mart.node
    group by node
)

select
    ranked.session_date,
    case when ranked.place <= 50 then shown.path else {{ [other] | where_in }} end as path,
    ranked.sessions
from ranked
left join lateral (
    select string_agg(coalesce(name.label, step.node), ' → ' order by step.step_no) as path
    from string_to_table(ranked.path, ' > ') with ordinality as step (node, step_no)
    left join name on step.node = name.node
    where ranked.place <= 50
) as shown on true
