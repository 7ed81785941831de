-- Keys of the agents of a channel, domain and device type; null where all three are: no limit.
create or replace function mart.agent_keys(channel text, domain text, device_type text)
returns integer[]
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
    select case
        when coalesce(agent_keys.channel, agent_keys.domain, agent_keys.device_type) is not null then array(
            select a.agent_key
            from raw.agent as a
            where
                (agent_keys.channel is null or a.channel = agent_keys.channel)
                and (agent_keys.domain is null or a.domain = agent_keys.domain)
                and (agent_keys.device_type is null or a.device_type = agent_keys.device_type)
        )
    end
$$;
revoke execute on function mart.agent_keys(text, text, text) from public;

-- The sessions that an analysis looks at, by the filters that all analyses share; null means no limit, both dates are
-- included. `agents` and `customers` are keys (mart.agent_keys, mart.segment_keys), held by a variable of a function
-- that plans each query for its values: to look a constant up takes a third of the time that a subquery takes. A plain
-- SQL function: Postgres puts it into the query that calls it, and drops the limits not given.
create or replace function mart.session_selected(from_date date, to_date date, agents integer[], customers integer[])
returns table (
    session_id uuid, visitor_key integer, started_at timestamptz, ended_at timestamptz, session_date date,
    customer_key integer, agent_key integer, errors integer, is_converted boolean, path text, path_times timestamptz[],
    error_keys integer[], error_steps integer[]
)
language sql stable parallel safe
as $$
    select
        s.session_id, s.visitor_key, s.started_at, s.ended_at, s.session_date,
        s.customer_key, s.agent_key, s.errors, s.transactions > s.failed_transactions, s.path, s.path_times,
        s.error_keys, s.error_steps
    from mart.session_fact as s
    where
        s.session_date >= coalesce(session_selected.from_date, '-infinity')
        and s.session_date <= coalesce(session_selected.to_date, 'infinity')
        and (session_selected.agents is null or s.agent_key = any(session_selected.agents))
        and (
            session_selected.customers is null
            or case
                -- hidden from the planner, who would compare each key with the statistics, and not take the index anyway
                when cardinality(session_selected.customers) > 1000
                    then coalesce(s.customer_key = any(session_selected.customers), false)
                else s.customer_key = any(session_selected.customers)
            end
        )
$$;
revoke execute on function mart.session_selected(date, date, integer[], integer[]) from public;

-- Keys of the customers who have such a session: what the filters of sessions mean for members of a segment.
create or replace function mart.session_customers(
    from_date date, to_date date, channel text, domain text, device_type text
)
returns setof integer
language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
as $$
declare
    agents constant integer[] := mart.agent_keys(
        session_customers.channel, session_customers.domain, session_customers.device_type
    );
begin
    return query
    select distinct s.customer_key
    from mart.session_selected(session_customers.from_date, session_customers.to_date, agents, null) as s
    where s.customer_key is not null;
end
$$;
revoke execute on function mart.session_customers(date, date, text, text, text) from public;
grant execute on function mart.session_customers(date, date, text, text, text) to jm_builder;
