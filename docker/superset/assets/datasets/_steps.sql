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
    -- Where most sessions begin, and twice where most go on to from there.
    select step.step_no, step.node, coalesce(name.label, step.node) as label
    from (
        with recursive move as materialized (
            select step_no, from_node, to_node, sessions
            from mart.paths_main(depth => 2)
            where to_node <> '이탈'
        ),

        way as (
            (
                select 1 as step_no, from_node as node
                from move
                where step_no = 1
                group by from_node
                order by sum(sessions) desc, from_node
                limit 1
            )
            union all
            select way.step_no + 1, onward.to_node
            from way
            cross join lateral (
                select to_node
                from move
                where step_no = way.step_no and from_node = way.node
                order by sessions desc, to_node
                limit 1
            ) as onward
        )

        select step_no, node from way
    ) as step
    left join name on step.node = name.node
    {%- endif %}
),

-- Nothing is asked for when a page is not known.
asked as (
    select array_agg(node order by step_no) as nodes
    from chosen
    having count(*) > 0 and count(*) = count(node)
)
