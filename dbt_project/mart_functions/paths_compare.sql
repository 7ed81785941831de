-- Main paths of two segments side by side (null: all customers): the share of each move among all sessions of a side,
-- the difference a - b, and its 95 % confidence interval (mart.share_difference): compare segments that do not overlap.
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
language sql stable security definer rows 500
set search_path = ''
as $$
    with a as materialized (
        select p.*
        from mart.paths_main(
            paths_compare.depth, null, paths_compare.from_date, paths_compare.to_date,
            paths_compare.channel, paths_compare.domain, paths_compare.segment_a, paths_compare.device_type
        ) as p
    ),

    b as materialized (
        select p.*
        from mart.paths_main(
            paths_compare.depth, null, paths_compare.from_date, paths_compare.to_date,
            paths_compare.channel, paths_compare.domain, paths_compare.segment_b, paths_compare.device_type
        ) as p
    ),

    -- every step adds up to all sessions
    total as (
        select
            (select sum(a.sessions) from a where a.step_no = 1) as total_a,
            (select sum(b.sessions) from b where b.step_no = 1) as total_b
    ),

    -- materialized: a function is not put into the query whose arguments are subqueries
    both_sides as materialized (
        select
            step_no,
            from_node,
            to_node,
            coalesce(a.sessions, 0) as sessions_a,
            coalesce(b.sessions, 0) as sessions_b,
            total.total_a,
            total.total_b
        from a
        full join b using (step_no, from_node, to_node)
        cross join total
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
    order by s.step_no, abs(d.difference) desc, s.from_node, s.to_node
$$;
revoke execute on function mart.paths_compare(text, text, integer, date, date, text, text, text) from public;
grant execute on function mart.paths_compare(text, text, integer, date, date, text, text, text) to jm_dashboard;
