-- The sessions that an analysis looks at, by the filters that all analyses share; null means no limit, both dates are
-- included. A plain SQL function: Postgres puts it into the query that calls it, and drops the limits not given.
create or replace function mart.session_selected(
    from_date date, to_date date, channel text, domain text, segment text, device_type text
)
returns table (
    session_id uuid, visitor_key integer, started_at timestamptz, ended_at timestamptz, session_date date,
    customer_key integer, agent_key integer, errors integer, transactions integer, path text, path_times timestamptz[],
    error_keys integer[], error_steps integer[]
)
language sql stable parallel safe
as $$
    select
        s.session_id, s.visitor_key, s.started_at, s.ended_at, s.session_date,
        s.customer_key, s.agent_key, s.errors, s.transactions, s.path, s.path_times, s.error_keys, s.error_steps
    from mart.session_fact as s
    where
        s.session_date >= coalesce(session_selected.from_date, '-infinity')
        and s.session_date <= coalesce(session_selected.to_date, 'infinity')
        and (
            (
                session_selected.channel is null
                and session_selected.domain is null
                and session_selected.device_type is null
            )
            or s.agent_key in (
                select a.agent_key
                from raw.agent as a
                where
                    (session_selected.channel is null or a.channel = session_selected.channel)
                    and (session_selected.domain is null or a.domain = session_selected.domain)
                    and (session_selected.device_type is null or a.device_type = session_selected.device_type)
            )
        )
        and (
            session_selected.segment is null
            or s.customer_key in (
                select c.customer_key from mart.segment_customers(session_selected.segment) as c (customer_key)
            )
        )
$$;
revoke execute on function mart.session_selected(date, date, text, text, text, text) from public;

-- Keys of the customers who have such a session: what the filters of sessions mean for members of a segment.
create or replace function mart.session_customers(
    from_date date, to_date date, channel text, domain text, device_type text
)
returns setof integer
language sql stable parallel safe security definer
set search_path = ''
as $$
    select distinct s.customer_key
    from mart.session_selected(
        session_customers.from_date, session_customers.to_date, session_customers.channel,
        session_customers.domain, null, session_customers.device_type
    ) as s
    where s.customer_key is not null
$$;
revoke execute on function mart.session_customers(date, date, text, text, text) from public;
grant execute on function mart.session_customers(date, date, text, text, text) to jm_builder;
