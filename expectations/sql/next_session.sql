-- Every event is in exactly one session, and a session is its events: as many, numbered 1, 2, 3 …, from its start to
-- its end; each node of its path has its time and each error its place. Compared for every session computed in this
-- run.
with grouped as (
    select
        visitor_key,
        started_at,
        count(*) as events,
        min(event_at) as first_at,
        max(event_at) as last_at,
        sum(event_no) as number_sum
    from build.session_event
    group by visitor_key, started_at
)

select
    coalesce(s.visitor_key, e.visitor_key) as visitor_key,
    coalesce(s.started_at, e.started_at) as started_at,
    s.events as events_of_session,
    e.events as events_found,
    s.ended_at,
    e.last_at as last_event_at
from build.session_fact as s
full join grouped as e on s.visitor_key = e.visitor_key and s.started_at = e.started_at
where
    s.events is distinct from e.events
    or s.started_at is distinct from e.first_at
    or s.ended_at is distinct from e.last_at
    or cardinality(s.path_times) is distinct from length(s.path)
    or (s.errors, s.errors)
    is distinct from (coalesce(cardinality(s.error_keys), 0), coalesce(cardinality(s.error_steps), 0))
    or e.number_sum is distinct from e.events * (e.events + 1) / 2
order by visitor_key, started_at
limit 200
