{% set period = get_time_filter('session_date') -%}
with name as (
    select node, min(label) as label
    from mart.node
    group by node
)

select
    coalesce(period.from_date, period.to_date) as session_date,
    coalesce(
        (
            select string_agg(coalesce(name.label, step.node), ' → ' order by step.step_no)
            from unnest(top.nodes) with ordinality as step (node, step_no)
            left join name on step.node = name.node
        ),
        {{ [other] | where_in }}
    ) as path,
    top.sessions
from (
    select
        {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date as from_date,
        {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::date - 1 as to_date
) as period
cross join lateral mart.paths_top(50, period.from_date, period.to_date) as top
