-- Main paths of two segments side by side (null: all customers): the share of each move among all sessions of a side,
-- the difference a - b, and its 95 % confidence interval (mart.share_difference): compare segments that do not overlap.
-- It takes each session for one of its own, though people do what they did before: the oftener the same ones come, the
-- narrower it is than it should be.
create or replace function mart.paths_compare(
    segment_a text, segment_b text, depth integer default 5,
    from_date date default null, to_date date default null, channel text default null, domain text default null,
    device_type text default null
)
returns table (
    step_no integer, from_node text, to_node text, sessions_a bigint, sessions_b bigint,
    share_a double precision, share_b double precision,
    difference double precision, difference_low double precision, difference_high double precision
)
language plpgsql stable security definer rows 500
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(paths_compare.channel, paths_compare.domain, paths_compare.device_type);
    customers_a constant integer[] := mart.segment_keys(paths_compare.segment_a);
    customers_b constant integer[] := mart.segment_keys(paths_compare.segment_b);
    customers constant integer[] := case -- everyone, if one of the two sides is
        when customers_a is not null and customers_b is not null then customers_a || customers_b
    end;
begin
    if paths_compare.depth is null or paths_compare.depth not between 1 and 100 then
        raise exception 'depth must be between 1 and 100, not %', paths_compare.depth using errcode = '22023';
    end if;
    return query
    with beginning as materialized (
        select
            left(s.path, paths_compare.depth + 1) as path,
            count(*) filter (where customers_a is null or s.customer_key = any(customers_a)) as sessions_a,
            count(*) filter (where customers_b is null or s.customer_key = any(customers_b)) as sessions_b
        from mart.session_selected(paths_compare.from_date, paths_compare.to_date, agents, customers) as s
        group by 1
    ),

    -- every step adds up to all sessions: one that has ended stays so
    moved as (
        select
            l.step_no,
            coalesce(f.node, '이탈') as from_node,
            coalesce(t.node, '이탈') as to_node,
            sum(l.sessions_a)::bigint as sessions_a,
            sum(l.sessions_b)::bigint as sessions_b
        from (
            select
                g.step_no,
                substr(b.path, g.step_no, 2) as pair,
                sum(b.sessions_a) as sessions_a,
                sum(b.sessions_b) as sessions_b
            from beginning as b
            cross join generate_series(1, paths_compare.depth) as g (step_no)
            group by 1, 2
        ) as l
        left join raw.node as f on f.node_id = raw.char_node(nullif(left(l.pair, 1), ''))
        left join raw.node as t on t.node_id = raw.char_node(nullif(substr(l.pair, 2), ''))
        group by 1, 2, 3
    ),

    -- materialized: a function is not put into the query whose arguments are subqueries
    both_sides as materialized (
        select m.*, t.total_a, t.total_b
        from moved as m
        cross join (
            select sum(f.sessions_a)::bigint as total_a, sum(f.sessions_b)::bigint as total_b
            from moved as f
            where f.step_no = 1
        ) as t
    )

    select
        s.step_no,
        s.from_node,
        s.to_node,
        s.sessions_a,
        s.sessions_b,
        d.share_a,
        d.share_b,
        d.difference,
        d.difference_low,
        d.difference_high
    from both_sides as s
    cross join lateral mart.share_difference(s.sessions_a, s.total_a, s.sessions_b, s.total_b) as d
    order by s.step_no, abs(d.difference) desc, s.from_node, s.to_node;
end
$$;
revoke execute on function mart.paths_compare(text, text, integer, date, date, text, text, text) from public;
grant execute on function mart.paths_compare(text, text, integer, date, date, text, text, text) to jm_dashboard;
