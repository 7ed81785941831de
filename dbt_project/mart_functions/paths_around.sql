-- Steps before and after a node or an error: step -before … after - 1 leads from a position to the next, position 0
-- being where the session is at the node. Before the first page stands 유입, after the last 이탈, so that every step
-- adds up to the sessions (occurrence all: to the visits) at the node.
-- With `within`, of persons instead of sessions: what they do so long before and after, across their visits, channels
-- and what happens outside of both (mart.journey_anchored); a consultation is called (consultation).
-- The first visits of whole months, up to two steps away and without domain, segment and device, are read from
-- mart.path_around, all else from the sessions themselves.
create or replace function mart.paths_around(
    node text, before integer default 2, after integer default 2,
    occurrence text default 'first', kind text default 'page',
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null, within interval default null
)
returns table (step integer, from_node text, to_node text, sessions bigint)
language plpgsql stable security definer rows 500
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(paths_around.channel, paths_around.domain, paths_around.device_type);
    customers constant integer[] := mart.segment_keys(paths_around.segment);
    chars constant text := mart.path_chars(paths_around.node, coalesce(paths_around.kind, ''));
    error constant text := case when paths_around.kind = 'error' then paths_around.node end;
    back constant integer := mart.path_steps('before', paths_around.before);
    ahead constant integer := mart.path_steps('after', paths_around.after);
    chosen constant text := mart.path_occurrence(paths_around.occurrence);
    is_kept constant boolean := paths_around.within is null and chosen = 'first' and coalesce(length(chars) = 1, false)
        and back <= 2 and ahead <= 2
        and paths_around.domain is null and paths_around.segment is null and paths_around.device_type is null
        and coalesce(paths_around.from_date = date_trunc('month', paths_around.from_date), true)
        and coalesce(
            paths_around.to_date >= mart.watermark_date()
            or paths_around.to_date + 1 = date_trunc('month', paths_around.to_date + 1), true
        );
begin
    perform mart.path_within(paths_around.within);
    return query
    with near as (
        -- blanks stand for what is outside of the session
        select
            substr(repeat(' ', back) || a.path || repeat(' ', ahead), a.step_no, back + ahead + 1) as nodes,
            count(*) as sessions
        from mart.session_anchored(
            chars, error, chosen,
            -- the plan for dates that never come starts no second process
            case when is_kept then 'infinity' else paths_around.from_date end, paths_around.to_date, agents, customers
        ) as a
        where not is_kept and paths_around.within is null
        group by 1
        union all
        -- or of the time
        select
            repeat(' ', back - n.before) || substr(a.path, a.step_no - n.before, n.before + 1 + n.after)
            || repeat(' ', ahead - n.after),
            count(*)
        from mart.journey_anchored(
            chars, error, chosen, paths_around.within, paths_around.from_date, paths_around.to_date, agents, customers,
            paths_around.channel, coalesce(paths_around.domain, paths_around.device_type) is null
        ) as a
        cross join lateral (
            select
                count(*) filter (
                    where g.step < 0
                    and a.path_times[a.step_no + g.step] >= a.path_times[a.step_no] - paths_around.within
                )::integer as before,
                count(*) filter (
                    where g.step > 0
                    and a.path_times[a.step_no + g.step] <= a.path_times[a.step_no] + paths_around.within
                )::integer as after
            from generate_series(-back, ahead) as g (step)
        ) as n
        where paths_around.within is not null
        group by 1
    ),

    link as (
        select a.step, a.path as pair, sum(a.sessions) as sessions
        from mart.path_around as a
        where
            is_kept
            and a.node_id = raw.char_node(chars)
            and a.step between -back and ahead - 1
            and a.path_month >= coalesce(paths_around.from_date, '-infinity')
            and a.path_month <= coalesce(paths_around.to_date, 'infinity')
            and (paths_around.channel is null or a.channel = paths_around.channel)
        group by 1, 2
        union all
        select
            g.step,
            substr(n.nodes, back + g.step + 1, 2) as pair,
            sum(n.sessions) as sessions
        from near as n
        cross join generate_series(-back, ahead - 1) as g (step)
        group by 1, 2
    )

    select
        l.step,
        coalesce(
            f.node,
            case when left(l.pair, 1) = chr(1) then '(consultation)' when l.step < 0 then '유입' else '이탈' end
        ),
        coalesce(
            t.node,
            case when right(l.pair, 1) = chr(1) then '(consultation)' when l.step < 0 then '유입' else '이탈' end
        ),
        sum(l.sessions)::bigint
    from link as l
    left join raw.node as f on f.node_id = raw.char_node(nullif(left(l.pair, 1), ' '))
    left join raw.node as t on t.node_id = raw.char_node(nullif(right(l.pair, 1), ' '))
    group by 1, 2, 3
    order by 1, 4 desc, 2, 3;
end
$$;
revoke execute on function mart.paths_around(
    text, integer, integer, text, text, date, date, text, text, text, text, interval
) from public;
grant execute on function mart.paths_around(
    text, integer, integer, text, text, date, date, text, text, text, text, interval
) to jm_dashboard;
