-- How the sessions of the mart differ from those that the tag counted (session_id of the landed clickstream), by the
-- date of ours; both dates are included. A source session is one id of one visitor, on the date of the first of ours
-- that has an event of it: the same (its events are exactly those of one of ours), split (they lie in several of ours)
-- or joined (they lie in one of ours with those of another id, or with events without one). same + split + joined =
-- source_sessions. Only sessions that the dates and the other filters leave are looked at.
create or replace function mart.session_difference(
    from_date date default null, to_date date default null, channel text default null, domain text default null,
    segment text default null, device_type text default null
)
returns table (
    session_date date, sessions bigint, source_sessions bigint, same bigint, split bigint, joined bigint,
    events_without_source bigint
)
language plpgsql stable security definer rows 100
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan set work_mem = '64MB'
as $$
#variable_conflict use_column
declare
    agents constant integer[] := mart.agent_keys(
        session_difference.channel, session_difference.domain, session_difference.device_type
    );
    customers constant integer[] := mart.segment_keys(session_difference.segment);
begin
    return query
    with part as materialized (
        select
            s.session_date,
            s.session_id,
            s.visitor_key,
            c.tag_session_id as source_session_id,
            count(*) as events
        from mart.session_selected(
            session_difference.from_date, session_difference.to_date, agents, customers
        ) as s
        inner join mart.session_event as e on s.visitor_key = e.visitor_key and s.started_at = e.started_at
        inner join raw.clickstream as c on e.row_id = c.row_id
        group by 1, 2, 3, 4
    ),

    marked as (
        select
            p.*,
            count(*) over (partition by p.session_id) as parts,
            row_number() over (partition by p.session_id order by p.source_session_id) as part_no,
            count(*) over (partition by p.visitor_key, p.source_session_id) as sessions,
            row_number() over (
                partition by p.visitor_key, p.source_session_id order by p.session_date, p.session_id
            ) as session_no
        from part as p
    )

    select
        m.session_date,
        count(*) filter (where m.part_no = 1),
        count(*) filter (where m.is_first),
        count(*) filter (where m.is_first and m.sessions = 1 and m.parts = 1),
        count(*) filter (where m.is_first and m.sessions > 1),
        count(*) filter (where m.is_first and m.sessions = 1 and m.parts > 1),
        coalesce(sum(m.events) filter (where m.source_session_id is null), 0)::bigint
    from (
        select
            *,
            source_session_id is not null and session_no = 1 as is_first
        from marked
    ) as m
    group by m.session_date
    order by m.session_date;
end
$$;
revoke execute on function mart.session_difference(date, date, text, text, text, text) from public;
grant execute on function mart.session_difference(date, date, text, text, text, text) to jm_dashboard;
