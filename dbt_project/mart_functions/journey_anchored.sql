-- Persons (the customer, else the visitor) who come to a node or meet an error, as in mart.session_anchored: where in
-- what they do, whatever visit, channel and device it is in, at least so long (`within`) before and after: pages and
-- transactions of their sessions, transactions outside of any, and consultations, which have no code (chr(1)). The
-- first time or the last of the dates given, or every time; what is further away than `within` may be there, too. The
-- filters are of where the anchor is. A transaction outside of a session has a channel, but neither domain nor device:
-- `with_outside` is false where these are limited.
create or replace function mart.journey_anchored(
    chars text, error text, occurrence text, within interval,
    from_date date, to_date date, agents integer[], customers integer[], channel text, with_outside boolean
)
returns table (path text, path_times timestamptz[], step_no integer)
language sql stable parallel safe
as $$
    with found as materialized (
        select
            s.customer_key,
            case when s.customer_key is null then s.visitor_key end as device_key,
            s.path_times[s.step_no] as happened_at,
            0 as source_rank,
            s.session_id,
            s.step_no::bigint as place
        from mart.session_anchored(
            journey_anchored.chars, journey_anchored.error, journey_anchored.occurrence,
            journey_anchored.from_date, journey_anchored.to_date, journey_anchored.agents, journey_anchored.customers
        ) as s
        union all
        select t.customer_key, null, t.transacted_at, 1, '00000000-0000-0000-0000-000000000000'::uuid, t.row_id
        from mart.transaction_fact as t
        where
            journey_anchored.with_outside
            and t.started_at is null
            and t.customer_key is not null
            and t.node_id = any(array(
                select raw.char_node(c.node_char) from string_to_table(journey_anchored.chars, null) as c (node_char)
            ))
            and (t.transacted_at at time zone mart.time_zone())::date
            between coalesce(journey_anchored.from_date, '-infinity') and coalesce(journey_anchored.to_date, 'infinity')
            and (journey_anchored.channel is null or t.channel = journey_anchored.channel)
            and (journey_anchored.customers is null or t.customer_key = any(journey_anchored.customers))
    ),

    person as materialized (
        select
            row_number() over () as person_no,
            f.customer_key,
            f.device_key,
            case journey_anchored.occurrence when 'last' then max(f.happened_at) else min(f.happened_at) end
            - journey_anchored.within as first_at,
            case journey_anchored.occurrence when 'first' then min(f.happened_at) else max(f.happened_at) end
            + journey_anchored.within as last_at
        from found as f
        group by f.customer_key, f.device_key
    ),

    visit as (
        select o.person_no, o.first_at, o.last_at, s.session_id, s.path, s.path_times
        from person as o
        inner join mart.session_fact as s on s.customer_key = o.customer_key
        where s.started_at <= o.last_at and s.path_times[length(s.path)] >= o.first_at
        union all
        select o.person_no, o.first_at, o.last_at, s.session_id, s.path, s.path_times
        from person as o
        inner join mart.session_fact as s on s.visitor_key = o.device_key
        where s.customer_key is null and s.started_at <= o.last_at and s.path_times[length(s.path)] >= o.first_at
    ),

    item as (
        select v.person_no, p.happened_at, 0 as source_rank, v.session_id, p.place, p.node_char
        from visit as v
        cross join lateral unnest(string_to_array(v.path, null), v.path_times)
            with ordinality as p (node_char, happened_at, place)
        where p.happened_at between v.first_at and v.last_at
        union all
        select
            o.person_no, t.transacted_at, 1, '00000000-0000-0000-0000-000000000000', t.row_id, raw.node_char(t.node_id)
        from person as o
        inner join mart.transaction_fact as t on t.customer_key = o.customer_key
        where t.started_at is null and t.transacted_at between o.first_at and o.last_at
        union all
        select o.person_no, c.consulted_at, 2, '00000000-0000-0000-0000-000000000000', c.row_id, chr(1)
        from person as o
        inner join mart.consultation as c on c.customer_key = o.customer_key
        where c.consulted_at between o.first_at and o.last_at
    ),

    -- the same order thrice: it is sorted once
    whole as (
        select
            string_agg(i.node_char, '' order by i.person_no, i.happened_at, i.source_rank, i.session_id, i.place) as path,
            array_agg(
                i.happened_at order by i.person_no, i.happened_at, i.source_rank, i.session_id, i.place
            ) as path_times,
            array_agg(
                f.place is not null order by i.person_no, i.happened_at, i.source_rank, i.session_id, i.place
            ) as anchors
        from item as i
        left join found as f on f.session_id = i.session_id and f.place = i.place
        group by i.person_no
    )

    select w.path, w.path_times, s.step_no
    from whole as w
    cross join lateral unnest(array_positions(w.anchors, true)) with ordinality as s (step_no, anchor_no)
    where
        case journey_anchored.occurrence
            when 'first' then s.anchor_no = 1
            when 'last' then s.anchor_no = cardinality(array_positions(w.anchors, true))
            else true
        end
$$;
revoke execute on function mart.journey_anchored(
    text, text, text, interval, date, date, integer[], integer[], text, boolean
) from public;
