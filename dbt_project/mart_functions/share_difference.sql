-- The shares of two groups, their difference a - b, and its 95 % confidence interval by Newcombe's hybrid score method
-- (Statistics in Medicine 1998, 17:873-890, method 10), which holds for small numbers and shares near 0 too. It treats
-- the groups as independent samples: compare groups that do not overlap. Null where a group has nobody.
-- A plain SQL function, so that it becomes part of the query that calls it.
create or replace function mart.share_difference(
    part_a bigint, total_a bigint, part_b bigint, total_b bigint
)
returns table (
    share_a double precision, share_b double precision, difference double precision, difference_low double precision,
    difference_high double precision
)
language sql immutable parallel safe rows 1
as $$
    select
        s.a,
        s.b,
        s.a - s.b,
        s.a - s.b - sqrt((s.a - wa.low) ^ 2 + (wb.high - s.b) ^ 2),
        s.a - s.b + sqrt((wa.high - s.a) ^ 2 + (s.b - wb.low) ^ 2)
    from (
        select
            part_a / nullif(total_a, 0)::double precision as a,
            part_b / nullif(total_b, 0)::double precision as b
    ) as s
    cross join lateral mart.wilson_interval(part_a, nullif(total_a, 0)::double precision) as wa
    cross join lateral mart.wilson_interval(part_b, nullif(total_b, 0)::double precision) as wb
$$;
revoke execute on function mart.share_difference(bigint, bigint, bigint, bigint) from public;
grant execute on function mart.share_difference(bigint, bigint, bigint, bigint) to jm_dashboard;
