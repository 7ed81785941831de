{{ config(key=['session_date', 'channel', 'step_no', 'from_node', 'to_node'], keep='b.sessions > 0') }}
{% set depth = session_policy().path_depth %}
{% set expanded %}(
    select
        p.session_date,
        p.channel,
        g.step_no,
        f.code as from_node,
        coalesce(t.code, '이탈') as to_node,
        p.sessions
    from {{ ref('int_path__changed') }} as p
    cross join lateral
        generate_series(1, {{ 'least(length(p.path), ' ~ depth ~ ')' if depth else 'length(p.path)' }}) as g (step_no)
    inner join {{ source('raw', 'node') }} as f on raw.char_node(substr(p.path, g.step_no, 1)) = f.node_id
    left join {{ source('raw', 'node') }} as t on raw.char_node(nullif(substr(p.path, g.step_no + 1, 1), '')) = t.node_id
){% endset %}
{{ counted('path_edge', ['session_date', 'channel', 'step_no', 'from_node', 'to_node'], ['sessions'], expanded) }}
