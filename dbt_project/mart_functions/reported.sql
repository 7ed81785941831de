-- The totals of each date as readers were told by the end of a day (`as_of`; null: when the date was first reported),
-- and as they are now; both dates are included. Only dates that had been reported by then: a publication knew what
-- happened on a later one. `causes` are those of all changes since, as mart.restatement has them one by one.
create or replace function mart.reported(
    from_date date default null, to_date date default null, as_of date default null
)
returns table (
    business_date date, measure text, value_reported numeric, value_now numeric, restatements bigint, causes text[],
    last_restated_at timestamptz
)
language sql stable security definer rows 100 set search_path = pg_catalog, pg_temp
as $$
    with moment as (
        select ((reported.as_of + 1)::timestamp at time zone mart.time_zone()) as at
    ),

    later as (
        select
            r.business_date,
            r.measure,
            (array_agg(r.value_before order by r.publication_id))[1] as value_reported,
            count(distinct r.publication_id) as restatements,
            array_agg(distinct c.cause order by c.cause) as causes,
            max(r.published_at) as last_restated_at
        from mart.restatement as r
        cross join unnest(r.causes) as c (cause)
        cross join moment as m
        where
            r.business_date >= coalesce(reported.from_date, '-infinity')
            and r.business_date <= coalesce(reported.to_date, 'infinity')
            and (m.at is null or r.published_at >= m.at)
        group by 1, 2
    )

    select
        business_date,
        measure,
        coalesce(l.value_reported, t.value, 0),
        coalesce(t.value, 0),
        coalesce(l.restatements, 0),
        coalesce(l.causes, '{}'),
        l.last_restated_at
    from (
        select * from mart.daily_total as d
        where
            d.business_date >= coalesce(reported.from_date, '-infinity')
            and d.business_date <= coalesce(reported.to_date, 'infinity')
    ) as t
    full join later as l using (business_date, measure)
    where
        business_date < (
            select (max(p.watermark_at) at time zone mart.time_zone())::date
            from ops.publication as p
            cross join moment as m
            where m.at is null or p.published_at < m.at
        )
    order by business_date, array_position(
        array['sessions', 'events', 'converted_sessions', 'transactions', 'amount_krw'], measure
    )
$$;
revoke execute on function mart.reported(date, date, date) from public;
grant execute on function mart.reported(date, date, date) to jm_dashboard, jm_auditor;
