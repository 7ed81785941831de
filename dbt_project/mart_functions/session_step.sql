-- The steps of one session with their times: what session_fact.path is made of. For use with lateral, on few sessions.
-- A plain SQL function, so that it becomes part of the query that calls it.
create or replace function mart.session_step(
    visitor_key integer, started_at timestamptz, ended_at timestamptz, transactions integer
)
returns table (step_no integer, node_id integer, arrived_at timestamptz, source_rank integer, row_id bigint)
language sql stable parallel safe
as $$
    select
        (row_number() over (order by m.arrived_at, m.source_rank, m.row_id))::integer,
        m.node_id,
        m.arrived_at,
        m.source_rank,
        m.row_id
    from (
        select
            h.*,
            h.node_id is distinct from lag(h.node_id) over (order by h.arrived_at, h.source_rank, h.row_id) as is_other
        from (
            select e.event_at as arrived_at, 0 as source_rank, e.row_id, e.node_id
            from mart.session_event as e
            where
                e.visitor_key = session_step.visitor_key
                and e.event_at between session_step.started_at and session_step.ended_at
                and e.started_at = session_step.started_at
                and e.is_move
            union all
            select t.transacted_at, 1, t.row_id, t.node_id
            from mart.transaction_fact as t
            where
                session_step.transactions > 0
                and t.session_visitor_key = session_step.visitor_key
                and t.started_at = session_step.started_at
        ) as h
    ) as m
    where m.is_other or not mart.repeats_collapsed()
$$;
revoke execute on function mart.session_step(integer, timestamptz, timestamptz, integer) from public;
