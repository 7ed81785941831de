-- Keys of those who belong to a segment, at the watermark or at the end of a date; who of them belongs to another
-- segment as well; and, with a filter of sessions, who of them has such a session.
create or replace function mart.segment_selected(
    segment text, as_of date, also_in text, from_date date, to_date date, channel text, domain text, device_type text
)
returns setof integer
language sql stable
as $$
    select k.customer_key
    from mart.segment_customers(segment_selected.segment, segment_selected.as_of) as k (customer_key)
    where
        (
            segment_selected.also_in is null
            or k.customer_key in (
                select o.customer_key
                from mart.segment_customers(segment_selected.also_in, segment_selected.as_of) as o (customer_key)
            )
        )
        and (
            coalesce(segment_selected.channel, segment_selected.domain, segment_selected.device_type) is null
            and coalesce(segment_selected.from_date, segment_selected.to_date) is null
            or k.customer_key in (
                select o.customer_key
                from mart.session_customers(
                    segment_selected.from_date, segment_selected.to_date, segment_selected.channel,
                    segment_selected.domain, segment_selected.device_type
                ) as o (customer_key)
            )
        )
$$;
revoke execute on function mart.segment_selected(text, date, text, date, date, text, text, text) from public;

-- Who they are.
create or replace function mart.segment_members(
    segment text, as_of date default null, also_in text default null,
    from_date date default null, to_date date default null, channel text default null, domain text default null,
    device_type text default null
)
returns table (customer_id text)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    select c.customer_id
    from mart.segment_selected(
        segment_members.segment, segment_members.as_of, segment_members.also_in, segment_members.from_date,
        segment_members.to_date, segment_members.channel, segment_members.domain, segment_members.device_type
    ) as k (customer_key)
    inner join raw.customer as c on c.customer_key = k.customer_key
    order by c.customer_id
$$;
revoke execute on function mart.segment_members(text, date, text, date, date, text, text, text) from public;
grant execute on function mart.segment_members(text, date, text, date, date, text, text, text) to jm_dashboard;

-- Sizes of segments and of each two of them together (null: all segments), with the share of the smaller one, null if
-- it is empty; with the filters of mart.segment_selected.
create or replace function mart.segment_overlap(
    segments text[] default null, as_of date default null, also_in text default null,
    from_date date default null, to_date date default null, channel text default null, domain text default null,
    device_type text default null
)
returns table (
    segment_id text, other_segment_id text, members bigint, other_members bigint, in_both bigint, share double precision
)
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$
    with asked as (
        select distinct s.segment_id
        from unnest(coalesce(segment_overlap.segments, (select array_agg(g.segment_id) from mart.segment as g)))
            as s (segment_id)
    ),

    member as materialized (
        select s.segment_id, k.customer_key
        from asked as s
        cross join lateral mart.segment_selected(
            s.segment_id, segment_overlap.as_of, segment_overlap.also_in, segment_overlap.from_date,
            segment_overlap.to_date, segment_overlap.channel, segment_overlap.domain, segment_overlap.device_type
        ) as k (customer_key)
    ),

    size as (
        select s.segment_id, count(m.customer_key) as members
        from asked as s
        left join member as m on m.segment_id = s.segment_id
        group by 1
    )

    select
        a.segment_id,
        b.segment_id,
        a.members,
        b.members,
        coalesce(i.in_both, 0),
        coalesce(i.in_both, 0)::double precision / nullif(least(a.members, b.members), 0)
    from size as a
    inner join size as b on a.segment_id < b.segment_id
    left join (
        select x.segment_id, y.segment_id as other_segment_id, count(*) as in_both
        from member as x
        inner join member as y on x.customer_key = y.customer_key and x.segment_id < y.segment_id
        group by 1, 2
    ) as i on i.segment_id = a.segment_id and i.other_segment_id = b.segment_id
    order by 5 desc, 1, 2
$$;
revoke execute on function mart.segment_overlap(text[], date, text, date, date, text, text, text) from public;
grant execute on function mart.segment_overlap(text[], date, text, date, date, text, text, text) to jm_dashboard;
