-- Channel, domain and device of the session in which an event or transaction happened, by its row_id; no row for what
-- did not happen in a session. Those of a hit of a rule are those of its last event.
create or replace function mart.session_of_line(row_id bigint)
returns table (channel text, domain text, device_type text)
language sql stable parallel safe security definer rows 1
set search_path = pg_catalog, pg_temp
as $$
    select a.channel, a.domain, a.device_type
    from (
        select o.visitor_key, o.started_at
        from raw.event as e
        inner join mart.session_event as o
            on o.visitor_key = e.visitor_key and o.event_at = e.event_at and o.row_id = e.row_id
        where e.row_id = session_of_line.row_id
        union all
        select t.session_visitor_key, t.started_at
        from mart.transaction_fact as t
        where t.row_id = session_of_line.row_id
    ) as l
    inner join mart.session_fact as s on s.visitor_key = l.visitor_key and s.started_at = l.started_at
    inner join raw.agent as a on a.agent_key = s.agent_key
$$;
revoke execute on function mart.session_of_line(bigint) from public;
grant execute on function mart.session_of_line(bigint) to jm_builder, jm_dashboard;
