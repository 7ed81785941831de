-- One customer, for the people who serve them. Every look-up is written down before anything is shown: who, whom, when
-- and why; without a reason nothing is shown. These are the only functions of schema mart that write, and the only way
-- for jm_cs to a person.

create or replace function mart.log_access(viewer text, object text, customer text, purpose text)
returns boolean
language plpgsql volatile security definer set search_path = ''
as $$
begin
    if log_access.viewer is null or log_access.customer is null or coalesce(trim(log_access.purpose), '') = '' then
        return false;
    end if;
    insert into ops.access_log (user_name, object, customer_id, purpose)
    values (log_access.viewer, log_access.object, log_access.customer, log_access.purpose);
    return true;
end
$$;
revoke execute on function mart.log_access(text, text, text, text) from public;

-- Who it is, as of now.
create or replace function mart.customer_profile(viewer text, customer text, purpose text)
returns table (
    customer_id text, grade text, investment_propensity text, gender text, birth_year integer, region text,
    joined_on date, sessions bigint, first_seen_at timestamptz, last_seen_at timestamptz
)
language plpgsql volatile security definer rows 1 set search_path = ''
as $$
#variable_conflict use_column
begin
    if not mart.log_access(
        customer_profile.viewer, 'profile', customer_profile.customer, customer_profile.purpose
    ) then
        return;
    end if;
    return query
    select
        k.customer_id, c.grade, c.investment_propensity, c.gender, c.birth_year, c.region, c.joined_on,
        s.sessions, s.first_seen_at, s.last_seen_at
    from raw.customer as k
    left join lateral (
        select h.*
        from mart.customer as h
        where h.customer_key = k.customer_key
        order by h.valid_from desc
        limit 1
    ) as c on true
    cross join lateral (
        select count(*) as sessions, min(f.started_at) as first_seen_at, max(f.ended_at) as last_seen_at
        from mart.session_fact as f
        where f.customer_key = k.customer_key
    ) as s
    where k.customer_id = customer_profile.customer;
end
$$;
revoke execute on function mart.customer_profile(text, text, text) from public;
grant execute on function mart.customer_profile(text, text, text) to jm_cs;

-- What they come with, the latest first.
create or replace function mart.customer_devices(viewer text, customer text, purpose text)
returns table (
    channel text, domain text, device_type text, device_model text, os text, app_version text,
    sessions bigint, last_seen_at timestamptz
)
language plpgsql volatile security definer rows 5 set search_path = ''
as $$
#variable_conflict use_column
begin
    if not mart.log_access(
        customer_devices.viewer, 'devices', customer_devices.customer, customer_devices.purpose
    ) then
        return;
    end if;
    return query
    select
        a.channel, a.domain, a.device_type, a.device_model, a.os, a.app_version,
        count(*), max(f.ended_at)
    from raw.customer as k
    inner join mart.session_fact as f on f.customer_key = k.customer_key
    inner join raw.agent as a on a.agent_key = f.agent_key
    where k.customer_id = customer_devices.customer
    group by 1, 2, 3, 4, 5, 6
    order by 8 desc;
end
$$;
revoke execute on function mart.customer_devices(text, text, text) from public;
grant execute on function mart.customer_devices(text, text, text) to jm_cs;

-- What happened with them between two moments; sessions are numbered within them, the earliest is 1.
create or replace function mart.customer_timeline(
    viewer text, customer text, purpose text, from_at timestamptz, to_at timestamptz
)
returns table (
    happened_at timestamptz, session_no bigint, kind text, title text, detail text, channel text,
    amount_krw numeric, is_error boolean
)
language plpgsql volatile security definer rows 200 set search_path = ''
as $$
#variable_conflict use_column
begin
    if customer_timeline.from_at is null or customer_timeline.to_at is null or not mart.log_access(
        customer_timeline.viewer, 'timeline', customer_timeline.customer, customer_timeline.purpose
    ) then
        return;
    end if;
    return query
    with happened as (
        select t.*, min(t.happened_at) over (partition by t.session_id) as session_from
        from mart.timeline as t
        where
            t.customer_id = customer_timeline.customer
            and t.happened_at >= customer_timeline.from_at
            and t.happened_at < customer_timeline.to_at
    )

    select
        h.happened_at,
        case
            when h.session_id is not null
                then dense_rank() over (partition by h.session_id is null order by h.session_from, h.session_id)
        end,
        h.kind, h.title, h.detail, h.channel, h.amount_krw, h.is_error
    from happened as h
    order by h.happened_at;
end
$$;
revoke execute on function mart.customer_timeline(text, text, text, timestamptz, timestamptz) from public;
grant execute on function mart.customer_timeline(text, text, text, timestamptz, timestamptz) to jm_cs;

-- The customers behind one number of mart.funnel(), the first 100 by entry, each written down as a look-up. Visitors
-- who are no customers cannot be looked up and are left out.
create or replace function mart.funnel_customers(
    viewer text, purpose text, of_funnel text, step integer, outcome text, from_date date, to_date date
)
returns table (customer_id text, entered_at timestamptz, step_at timestamptz, status text)
language plpgsql volatile security definer rows 100 set search_path = ''
as $$
#variable_conflict use_column
begin
    if funnel_customers.viewer is null or coalesce(trim(funnel_customers.purpose), '') = '' then
        return;
    end if;
    return query
    with person as materialized (
        select k.customer_id, p.entered_at, p.step_at, p.status
        from mart.funnel_people(
            funnel_customers.of_funnel, funnel_customers.step, funnel_customers.outcome,
            funnel_customers.from_date, funnel_customers.to_date
        ) as p
        inner join raw.customer as k on k.customer_id = p.subject_id
        order by p.entered_at, k.customer_id
        limit 100
    )

    select p.*
    from person as p
    where mart.log_access(
        funnel_customers.viewer, 'funnel ' || funnel_customers.of_funnel, p.customer_id, funnel_customers.purpose
    );
end
$$;
revoke execute on function mart.funnel_customers(text, text, text, integer, text, date, date) from public;
grant execute on function mart.funnel_customers(text, text, text, integer, text, date, date) to jm_cs;
