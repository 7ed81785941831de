-- 95 % confidence interval of a share: Wilson's score interval.
create or replace function mart.wilson_interval(
    part double precision, total double precision
)
returns table (low double precision, high double precision)
language sql immutable parallel safe rows 1
as $$
    select
        (w.centre - w.half) / w.scale,
        (w.centre + w.half) / w.scale
    from (
        select
            part / total + 1.959963984540054 ^ 2 / (2 * total) as centre,
            1.959963984540054 * sqrt(
                part / total * (1 - part / total) / total + 1.959963984540054 ^ 2 / (4 * total ^ 2)
            ) as half,
            1 + 1.959963984540054 ^ 2 / total as scale
    ) as w
$$;
revoke execute on function mart.wilson_interval(double precision, double precision) from public;
grant execute on function mart.wilson_interval(double precision, double precision) to jm_dashboard;
