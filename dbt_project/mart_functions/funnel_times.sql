-- How long it takes from one step of a funnel to another, in bins of equal width: the distribution whose median
-- mart.funnel() gives; channel, domain, segment and device type limit it as they do there. Bins without anyone are rows
-- too; the last one includes its end.
create or replace function mart.funnel_times(
    funnel_id text, from_step integer default 1, to_step integer default null, bins integer default 10,
    from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (from_seconds double precision, to_seconds double precision, people bigint, share double precision)
language plpgsql stable security definer rows 20
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    definition constant jsonb := mart.funnel_definition(funnel_times.funnel_id);
    steps constant integer := jsonb_array_length(definition -> 'steps');
    last_step constant integer := coalesce(funnel_times.to_step, steps);
begin
    if funnel_times.from_step < 1 or last_step > steps or funnel_times.from_step >= last_step then
        raise exception 'from_step must lie before to_step, both among the % steps', steps using errcode = '22023';
    end if;
    if funnel_times.bins not between 1 and 100 then
        raise exception 'bins must be 1 to 100' using errcode = '22023';
    end if;
    return query
    with taken as (
        select extract(epoch from e.step_times[last_step] - e.step_times[funnel_times.from_step])::double precision
            as seconds
        from mart.funnel_selected(
            funnel_times.funnel_id, definition ->> 'count_by', funnel_times.from_date, funnel_times.to_date,
            funnel_times.channel, funnel_times.domain, funnel_times.segment, funnel_times.device_type
        ) as e
        where
            e.step_times[last_step] is not null and e.step_times[funnel_times.from_step] is not null
    ),

    span as (
        select
            min(seconds) as shortest,
            greatest(max(seconds) - min(seconds), 1) / funnel_times.bins as width,
            count(*) as total
        from taken
    )

    select
        s.shortest + (b.bin_no - 1) * s.width,
        s.shortest + b.bin_no * s.width,
        count(t.seconds),
        count(t.seconds) / s.total::double precision
    from span as s
    cross join generate_series(1, funnel_times.bins) as b (bin_no)
    left join taken as t
        on least(floor((t.seconds - s.shortest) / s.width)::integer + 1, funnel_times.bins) = b.bin_no
    where s.total > 0
    group by b.bin_no, s.shortest, s.width, s.total
    order by b.bin_no;
end
$$;
revoke execute on function mart.funnel_times(
    text, integer, integer, integer, date, date, text, text, text, text
) from public;
grant execute on function mart.funnel_times(
    text, integer, integer, integer, date, date, text, text, text, text
) to jm_dashboard;
