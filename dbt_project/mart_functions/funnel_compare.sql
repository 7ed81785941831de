-- A funnel of two segments side by side (null: everyone): who takes each step, which share of those who enter, the
-- difference a - b, and its 95 % confidence interval (mart.share_difference): compare segments that do not overlap.
create or replace function mart.funnel_compare(
    funnel_id text, segment_a text, segment_b text, from_date date default null, to_date date default null,
    channel text default null, domain text default null, device_type text default null
)
returns table (
    step_no integer, name text, entered_a bigint, entered_b bigint, share_a double precision, share_b double precision,
    difference double precision, difference_low double precision, difference_high double precision
)
language sql stable security definer rows 10
set search_path = pg_catalog, pg_temp
as $$
    select
        step_no, coalesce(a.name, b.name), coalesce(a.entered, 0), coalesce(b.entered, 0),
        d.share_a, d.share_b, d.difference, d.difference_low, d.difference_high
    from (
        select f.*, first_value(f.entered) over (order by f.step_no) as total
        from mart.funnel(
            funnel_compare.funnel_id, funnel_compare.from_date, funnel_compare.to_date,
            funnel_compare.channel, funnel_compare.domain, funnel_compare.segment_a,
            device_type => funnel_compare.device_type
        ) as f
    ) as a
    full join (
        select f.*, first_value(f.entered) over (order by f.step_no) as total
        from mart.funnel(
            funnel_compare.funnel_id, funnel_compare.from_date, funnel_compare.to_date,
            funnel_compare.channel, funnel_compare.domain, funnel_compare.segment_b,
            device_type => funnel_compare.device_type
        ) as f
    ) as b using (step_no)
    cross join lateral mart.share_difference(coalesce(a.entered, 0), a.total, coalesce(b.entered, 0), b.total) as d
    order by step_no
$$;
revoke execute on function mart.funnel_compare(text, text, text, date, date, text, text, text) from public;
grant execute on function mart.funnel_compare(text, text, text, date, date, text, text, text) to jm_dashboard;
