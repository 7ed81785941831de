-- Those who enter a funnel and those who convert, by the inflow channel of their first or last touch. It reads with the
-- rights of whoever asks: a department sees its own funnels.
create or replace function mart.channel_report(
    funnel text, touch text default 'last', from_date date default null, to_date date default null
)
returns table (inflow_channel text, entered bigint, converted bigint, conversion double precision)
language plpgsql stable set search_path = ''
as $$
#variable_conflict use_column
begin
    if channel_report.touch not in ('first', 'last') then
        raise exception 'touch must be first or last, not %', channel_report.touch using errcode = '22023';
    end if;
    if not exists (
        select from mart.funnel as f where f.funnel_id = channel_report.funnel
    ) then
        raise exception 'there is no funnel ''%''', channel_report.funnel using errcode = '22023';
    end if;
    if exists (select from mart.definition as d where d.kind = 'rules' and d.definition_id = channel_report.funnel) then
        raise exception '% is a rule; what brings people is reported of funnels', channel_report.funnel
            using errcode = '22023';
    end if;
    return query
    select
        c.inflow_channel,
        sum(c.entered)::bigint,
        sum(c.converted)::bigint,
        (sum(c.converted) / sum(c.entered))::double precision
    from mart.channel_conversion as c
    where
        c.funnel_id = channel_report.funnel
        and c.touch = channel_report.touch
        and c.entry_date >= coalesce(channel_report.from_date, '-infinity')
        and c.entry_date <= coalesce(channel_report.to_date, 'infinity')
    group by 1
    order by 2 desc, 1;
end
$$;
revoke execute on function mart.channel_report(text, text, date, date) from public;
grant execute on function mart.channel_report(text, text, date, date) to jm_dashboard;
