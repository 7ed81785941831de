-- The sessions behind a row of mart.paths_main (`node` null) or mart.paths_around: those that move from `from_node` to
-- `to_node` at `step`. Null stands for any node, 유입 and 이탈 for outside of the session, 기타 for the nodes that
-- mart.paths_main does not name with this `top_k`.
create or replace function mart.paths_people(
    step integer, from_node text default null, to_node text default null,
    node text default null, occurrence text default 'first', kind text default 'page',
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null, top_k integer default null
)
returns table (session_id uuid, visitor_id text, customer_id text, started_at timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(paths_people.channel, paths_people.domain, paths_people.device_type);
    customers constant integer[] := mart.segment_keys(paths_people.segment);
    chars constant text := case when paths_people.node is not null
        then mart.path_chars(paths_people.node, coalesce(paths_people.kind, '')) end;
    error constant text := case when paths_people.kind = 'error' then paths_people.node end;
    chosen constant text := mart.path_occurrence(paths_people.occurrence);
    -- substr is empty outside of the session
    sources text := case when paths_people.from_node not in ('유입', '이탈', '기타')
        then mart.path_chars(paths_people.from_node, null) else '' end;
    targets text := case when paths_people.to_node not in ('유입', '이탈', '기타')
        then mart.path_chars(paths_people.to_node, null) else '' end;
begin
    if paths_people.node is null and paths_people.step < 1 then
        raise exception 'the steps of main paths begin with 1: step % is of a node', paths_people.step
            using errcode = '22023';
    end if;
    if '기타' in (paths_people.from_node, paths_people.to_node) then
        if paths_people.top_k is null or paths_people.node is not null then
            raise exception '기타 is what mart.paths_main does not name: give the top_k it was asked with, and no node'
                using errcode = '22023';
        end if;
        -- a blank, which is in no path, where all are named
        select
            case
                when paths_people.from_node = '기타'
                    then coalesce(string_agg(raw.node_char(n.node_id), '') filter (where n.node <> all(m.left_from)), ' ')
                else sources
            end,
            case
                when paths_people.to_node = '기타'
                    then coalesce(string_agg(raw.node_char(n.node_id), '') filter (where n.node <> all(m.led_to)), ' ')
                else targets
            end
        into sources, targets
        from raw.node as n
        cross join (
            select array_agg(e.from_node) as left_from, array_agg(e.to_node) as led_to
            from mart.paths_main(
                paths_people.step, paths_people.top_k, paths_people.from_date, paths_people.to_date,
                paths_people.channel, paths_people.domain, paths_people.segment, paths_people.device_type
            ) as e
            where e.step_no = paths_people.step
        ) as m;
    end if;
    return query
    select distinct f.session_id, v.visitor_id, c.customer_id, f.started_at
    from (
        select a.session_id, a.visitor_key, a.customer_key, a.started_at, a.path, a.step_no + paths_people.step as at
        from mart.session_anchored(
            chars, error, chosen, paths_people.from_date, paths_people.to_date, agents, customers
        ) as a
        where paths_people.node is not null
        union all
        select s.session_id, s.visitor_key, s.customer_key, s.started_at, s.path, paths_people.step
        from mart.session_selected(paths_people.from_date, paths_people.to_date, agents, customers) as s
        where paths_people.node is null
    ) as f
    inner join raw.visitor as v on v.visitor_key = f.visitor_key
    left join raw.customer as c on c.customer_key = f.customer_key
    where
        (
            paths_people.from_node is null
            or (sources = '' and f.at not between 1 and length(f.path))
            or (sources <> '' and f.at > 0 and strpos(sources, nullif(substr(f.path, f.at, 1), '')) > 0)
        )
        and (
            paths_people.to_node is null
            or (targets = '' and f.at + 1 not between 1 and length(f.path))
            or (targets <> '' and f.at + 1 > 0 and strpos(targets, nullif(substr(f.path, f.at + 1, 1), '')) > 0)
        );
end
$$;
revoke execute on function mart.paths_people(
    integer, text, text, text, text, text, date, date, text, text, text, text, integer
) from public;
grant execute on function mart.paths_people(
    integer, text, text, text, text, text, date, date, text, text, text, text, integer
) to jm_dashboard;
