-- Every step of every funnel under the name by which it is chosen.
named as (
    select
        funnel.funnel_id,
        step.step_no,
        case {{ [language] | where_in }} when 'ko' then funnel.label_ko else funnel.label_en end
        || ' · ' || step.step_no || '. '
        || case {{ [language] | where_in }}
            when 'ko' then funnel.step_names_ko[step.step_no]
            else funnel.step_names_en[step.step_no]
        end as step
    from mart.funnel as funnel
    cross join lateral generate_series(1, funnel.steps) as step (step_no)
    where funnel.funnel_id like 'FN-%'
)
