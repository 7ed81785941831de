-- Those who enter a funnel and those who convert, by the inflow channel of their first or last touch. channel, domain
-- and device are those of the session of the entry, a segment is of customers, as in mart.funnel(); without them
-- mart.channel_conversion has the sums by date already.
create or replace function mart.channel_report(
    funnel text, touch text default 'last', from_date date default null, to_date date default null,
    channel text default null, domain text default null, segment text default null, device_type text default null
)
returns table (inflow_channel text, entered bigint, converted bigint, conversion double precision)
language plpgsql stable security definer rows 20
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    definition constant jsonb := mart.funnel_definition(channel_report.funnel);
    is_limited constant boolean := coalesce(
        channel_report.channel, channel_report.domain, channel_report.segment, channel_report.device_type
    ) is not null;
begin
    if channel_report.touch not in ('first', 'last') then
        raise exception 'touch must be first or last, not %', channel_report.touch using errcode = '22023';
    end if;
    if exists (select from mart.definition as d where d.kind = 'rules' and d.definition_id = channel_report.funnel) then
        raise exception '% is a rule; what brings people is reported of funnels', channel_report.funnel
            using errcode = '22023';
    end if;
    if definition is null then
        return;
    end if;
    return query
    select
        n.inflow_channel,
        sum(n.entered)::bigint,
        sum(n.converted)::bigint,
        (sum(n.converted) / sum(n.entered))::double precision
    from (
        select c.inflow_channel, c.entered, c.converted
        from mart.channel_conversion as c
        where
            not is_limited
            and c.funnel_id = channel_report.funnel
            and c.touch = channel_report.touch
            and c.entry_date >= coalesce(channel_report.from_date, '-infinity')
            and c.entry_date <= coalesce(channel_report.to_date, 'infinity')
        union all
        select
            case channel_report.touch when 'first' then t.first_channel else t.last_channel end,
            1,
            t.is_converted::integer
        from mart.funnel_selected(
            channel_report.funnel, definition ->> 'count_by', channel_report.from_date, channel_report.to_date,
            channel_report.channel, channel_report.domain, channel_report.segment, channel_report.device_type
        ) as e
        inner join mart.funnel_touch as t using (funnel_id, subject_key, session_at, attempt_no)
        where is_limited
    ) as n
    group by 1
    order by 2 desc, 1;
end
$$;
revoke execute on function mart.channel_report(text, text, date, date, text, text, text, text) from public;
grant execute on function mart.channel_report(text, text, date, date, text, text, text, text) to jm_dashboard;
