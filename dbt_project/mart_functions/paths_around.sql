-- Steps before and after a node, per day and channel: step -before … after - 1 leads from a position to the next,
-- position 0 being the first time a session is at the node. Before the first page stands 유입, after the last 이탈.
create or replace function mart.paths_around(node text, before integer default 2, after integer default 2)
returns table (session_date date, channel text, step integer, from_node text, to_node text, sessions bigint)
language sql stable security definer set search_path = '' rows 5000
as $$
    with anchor as (
        select raw.node_char(n.node_id) as node_char
        from raw.node as n
        where n.code = paths_around.node
    ),
    around as (
        select
            s.session_date,
            a.channel,
            -- one blank stands for what is outside of the session
            right(repeat(' ', paths_around.before) || left(s.path, strpos(s.path, x.node_char) - 1), paths_around.before)
            || left(substr(s.path, strpos(s.path, x.node_char)) || repeat(' ', paths_around.after), paths_around.after + 1)
                as nodes,
            count(*) as sessions
        from anchor as x
        inner join mart.session_fact as s on strpos(s.path, x.node_char) > 0
        inner join raw.agent as a on s.agent_key = a.agent_key
        group by 1, 2, 3
    ),
    link as (
        select
            r.session_date,
            r.channel,
            g.step,
            substr(r.nodes, g.step + paths_around.before + 1, 1) as from_char,
            substr(r.nodes, g.step + paths_around.before + 2, 1) as to_char,
            sum(r.sessions)::bigint as sessions
        from around as r
        cross join generate_series(-paths_around.before, paths_around.after - 1) as g (step)
        group by 1, 2, 3, 4, 5
    )
    select
        l.session_date,
        l.channel,
        l.step,
        coalesce(f.code, '유입'),
        coalesce(t.code, '이탈'),
        l.sessions
    from link as l
    left join raw.node as f on f.node_id = raw.char_node(nullif(l.from_char, ' '))
    left join raw.node as t on t.node_id = raw.char_node(nullif(l.to_char, ' '))
    where not (l.step < 0 and l.from_char = ' ' and l.to_char = ' ')
      and not (l.step >= 0 and l.from_char = ' ')
$$;
revoke execute on function mart.paths_around(text, integer, integer) from public;
grant execute on function mart.paths_around(text, integer, integer) to jm_dashboard;
