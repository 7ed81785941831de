-- The steps are the chosen pages in the order in which they were chosen.
{% set steps = filter_values('step_page') -%}
chosen as (
    {% if steps -%}
    select step.step_no, named.node, step.label
    from unnest(
        array[{% for step in steps[:32] %}{{ [step] | where_in }}{% if not loop.last %}, {% endif %}{% endfor %}]
    ) with ordinality as step (label, step_no)
    left join (
        select label, min(node) as node
        from mart.node
        group by label
    ) as named on step.label = named.label
    {%- else -%}
    -- The most frequent way of at least three pages.
    select step.step_no, step.node, coalesce(name.label, step.node) as label
    from (
        select path
        from mart.path
        where path like '% > % > %'
        group by path
        order by sum(sessions) desc, path
        limit 1
    ) as frequent
    cross join lateral string_to_table(frequent.path, ' > ') with ordinality as step (node, step_no)
    left join name on step.node = name.node
    {%- endif %}
),

-- Nothing is asked for when a page is not known.
asked as (
    select array_agg(node order by step_no) as nodes
    from chosen
    having count(*) > 0 and count(*) = count(node)
)
