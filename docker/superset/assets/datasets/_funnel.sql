-- The funnels asked for. Rules count their steps like funnels too; they are shown with the rules. A pack has its own.
{% set funnels = filter_values('funnel') -%}
asked as (
    select named.*
    from (
        select
            funnel_id,
            version,
            owner,
            case {{ [language] | where_in }} when 'ko' then label_ko else label_en end as funnel,
            steps,
            count_by,
            case {{ [language] | where_in }} when 'ko' then step_names_ko else step_names_en end as step_names
        from mart.funnel
        where {% if only_funnels %}funnel_id in {{ only_funnels | where_in }}{% else %}funnel_id like 'FN-%'{% endif %}
    ) as named
    {% if funnels -%}
    where named.funnel in {{ funnels | where_in }}
    {%- elif not only_funnels -%}
    -- Two funnels do not add up: the one that most people enter, which is the first on the list.
    where named.funnel_id = (
        select funnel_id
        from mart.funnel_step
        where step_no = 1 and funnel_id like 'FN-%'
        group by funnel_id
        order by sum(entered) desc, funnel_id
        limit 1
    )
    {%- endif %}
)
