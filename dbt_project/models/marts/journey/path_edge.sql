{{ config(key=['session_date', 'channel', 'step_no', 'from_node', 'to_node'], keep='b.sessions > 0') }}
{% set depth = [session_policy().path_depth or 500, 500] | min %}
{# Counted by character first: the codes are looked up for the few kinds of edge, not for every path. #}
{% set expanded %}(
    select
        e.session_date,
        e.channel,
        e.step_no,
        f.node as from_node,
        coalesce(t.node, '이탈') as to_node,
        e.sessions
    from (
        select
            p.session_date,
            p.channel,
            g.step_no,
            substr(p.path, g.step_no, 1) as from_char,
            substr(p.path, g.step_no + 1, 1) as to_char,
            sum(p.sessions) as sessions
        from {{ ref('int_path__changed') }} as p
        cross join lateral generate_series(1, least(length(p.path), {{ depth }})) as g (step_no)
        group by 1, 2, 3, 4, 5
    ) as e
    inner join {{ source('raw', 'node') }} as f on raw.char_node(e.from_char) = f.node_id
    left join {{ source('raw', 'node') }} as t on raw.char_node(nullif(e.to_char, '')) = t.node_id
){% endset %}
{{ counted('path_edge', ['session_date', 'channel', 'step_no', 'from_node', 'to_node'], ['sessions'], expanded) }}
