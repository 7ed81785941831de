{{ config(key=['node_id', 'path_month', 'channel', 'step', 'path'], keep='b.sessions > 0') }}
{# What is around the first visit: five characters, blank where there is no session, are counted before they are cut. #}
{% set moves %}(
    select
        raw.char_node(substr(n.nodes, 3, 1)) as node_id,
        n.path_month,
        n.channel,
        g.step,
        substr(n.nodes, 3 + g.step, 2) as path,
        n.sessions
    from (
        select
            p.path_month,
            p.channel,
            substr('  ' || p.path || '  ', f.step_no, 5) as nodes,
            sum(p.sessions) as sessions
        from (
            select
                date_trunc('month', session_date)::date as path_month,
                channel,
                path,
                sum(sign) as sessions
            from {{ changed_sessions() }} as changed
            group by 1, 2, 3
            having sum(sign) <> 0
        ) as p
        cross join lateral generate_series(1, length(p.path)) as f (step_no)
        where strpos(p.path, substr(p.path, f.step_no, 1)) = f.step_no
        group by 1, 2, 3
    ) as n
    cross join generate_series(-2, 1) as g (step)
){% endset %}
{{ counted('path_around', ['node_id', 'path_month', 'channel', 'step', 'path'], ['sessions'], moves) }}
