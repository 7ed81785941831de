-- One customer, for the people who serve them. Every look-up is written down before anything is shown: who, whom, when
-- and why; without a reason nothing is shown. These are the only functions of schema mart that write, and the only way
-- for jm_cs to a person.

create or replace function mart.log_access(viewer text, object text, customer text, purpose text)
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
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
language plpgsql volatile security definer rows 1 set search_path = pg_catalog, pg_temp
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
        where
            h.customer_key = k.customer_key
            -- what is dated ahead is not so yet
            and h.valid_from <= greatest(mart.watermark_date(), (now() at time zone mart.time_zone())::date)
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
language plpgsql volatile security definer rows 5 set search_path = pg_catalog, pg_temp
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

-- What happened with them between two moments; sessions are numbered within them, the earliest is 1. Channel, domain
-- and device leave what happened in such sessions; a segment, customers who belong now.
create or replace function mart.customer_timeline(
    viewer text, customer text, purpose text, from_at timestamptz, to_at timestamptz,
    of_channel text default null, domain text default null, segment text default null, device_type text default null
)
returns table (
    happened_at timestamptz, session_no bigint, kind text, title text, detail text, channel text,
    amount_krw numeric, is_error boolean
)
language plpgsql volatile security definer rows 200 set search_path = pg_catalog, pg_temp
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
    ),

    numbered as (
        select
            h.*,
            case
                when h.session_id is not null
                    then dense_rank() over (partition by h.session_id is null order by h.session_from, h.session_id)
            end as session_no
        from happened as h
    ),

    -- also those that belong to nobody, because several customers logged in during them
    visit as (
        select s.session_id, s.agent_key
        from raw.customer as k
        inner join mart.session_fact as s on s.customer_key = k.customer_key
        where k.customer_id = customer_timeline.customer
        union all
        select s.session_id, s.agent_key
        from raw.customer as k
        inner join mart.device_login as l on l.customer_key = k.customer_key
        inner join mart.session_fact as s on s.visitor_key = l.visitor_key and s.customer_key is null
        where k.customer_id = customer_timeline.customer
    )

    select
        n.happened_at, n.session_no, n.kind, coalesce(r.label_ko, n.title), n.detail, n.channel, n.amount_krw,
        n.is_error
    from numbered as n
    -- the name of the rule that asked, as in mart.survey_answer
    left join mart.definition as r on n.kind = 'survey' and r.kind = 'rules' and r.definition_id = n.title
    where
        (
            (
                customer_timeline.of_channel is null
                and customer_timeline.domain is null
                and customer_timeline.device_type is null
            )
            or n.session_id in (
                select v.session_id
                from visit as v
                inner join raw.agent as a on a.agent_key = v.agent_key
                where
                    (customer_timeline.of_channel is null or a.channel = customer_timeline.of_channel)
                    and (customer_timeline.domain is null or a.domain = customer_timeline.domain)
                    and (customer_timeline.device_type is null or a.device_type = customer_timeline.device_type)
            )
        )
        and (
            customer_timeline.segment is null
            or customer_timeline.customer in (
                select k.customer_id
                from mart.segment_customers(customer_timeline.segment) as m (customer_key)
                inner join raw.customer as k on k.customer_key = m.customer_key
            )
        )
    order by n.happened_at;
end
$$;
revoke execute on function mart.customer_timeline(
    text, text, text, timestamptz, timestamptz, text, text, text, text
) from public;
grant execute on function mart.customer_timeline(
    text, text, text, timestamptz, timestamptz, text, text, text, text
) to jm_cs;

-- How they came to the goals of funnels that they reached between two moments: each conversion as one flow, in order.
-- The sessions of the first and last touch, with the channels that mart.funnel_touch counts; those in between as one
-- row, with the first one's time; each session after the last touch; each step taken, the last of which is the goal.
create or replace function mart.customer_conversions(
    viewer text, customer text, purpose text, from_at timestamptz, to_at timestamptz
)
returns table (
    conversion_no bigint, funnel_id text, converted_at timestamptz, place_no bigint, kind text, happened_at timestamptz,
    step_no integer, inflow_channel text, channel text, sessions bigint, pages bigint
)
language plpgsql volatile security definer rows 20 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if customer_conversions.from_at is null or customer_conversions.to_at is null or not mart.log_access(
        customer_conversions.viewer, 'conversions', customer_conversions.customer, customer_conversions.purpose
    ) then
        return;
    end if;
    return query
    with subject as (
        select k.customer_key, k.customer_key as subject_key
        from raw.customer as k
        where k.customer_id = customer_conversions.customer
        union
        select k.customer_key, -s.visitor_key
        from raw.customer as k
        inner join mart.session_fact as s on s.customer_key = k.customer_key
        where k.customer_id = customer_conversions.customer
    ),

    conversion as materialized (
        select
            row_number() over (order by e.step_times[f.steps] desc, e.funnel_id, e.attempt_no) as conversion_no,
            e.funnel_id,
            e.subject_key,
            e.entered_at,
            e.step_times,
            f.steps,
            e.step_times[f.steps] as converted_at,
            t.first_channel,
            t.last_channel
        from subject as p
        inner join mart.funnel_touch as t on t.subject_key = p.subject_key and t.is_converted
        inner join mart.funnel_entry as e
            on
                e.funnel_id = t.funnel_id
                and e.subject_key = t.subject_key
                and e.session_at = t.session_at
                and e.attempt_no = t.attempt_no
        inner join mart.funnel as f on f.funnel_id = e.funnel_id and f.version = e.version
        cross join lateral mart.entry_customer(f.count_by, e.subject_key, e.visitor_key, e.started_at) as c
        where
            c.customer_key = p.customer_key
            and e.step_times[f.steps] >= customer_conversions.from_at
            and e.step_times[f.steps] < customer_conversions.to_at
    ),

    visit as (
        select
            c.conversion_no,
            s.started_at,
            s.channel,
            s.pages,
            row_number() over (partition by c.conversion_no order by s.started_at, s.inflow_channel) as visit_no,
            s.started_at <= c.entered_at as is_before,
            s.started_at between c.entered_at - interval '30 days' and c.entered_at and s.inflow_channel <> 'direct'
                as is_touch
        from conversion as c
        cross join lateral (
            select o.* from mart.session as o where o.customer_key = c.subject_key
            union all
            select o.* from mart.session as o where o.visitor_key = -c.subject_key
        ) as s
        where s.started_at <= c.converted_at
    ),

    placed as (
        select
            v.*,
            coalesce(
                max(v.visit_no) filter (where v.is_touch) over each_conversion,
                max(v.visit_no) filter (where v.is_before) over each_conversion,
                0
            ) as last_no
        from visit as v
        window each_conversion as (partition by v.conversion_no)
    ),

    flow as (
        select
            v.conversion_no, k.place, k.kind, v.started_at as happened_at, null::integer as step_no,
            case k.kind when 'first_touch' then c.first_channel when 'last_touch' then c.last_channel end as inflow_channel,
            v.channel, 1::bigint as sessions, v.pages::bigint as pages
        from placed as v
        inner join conversion as c on c.conversion_no = v.conversion_no
        cross join (values (1, 'first_touch'), (3, 'last_touch'), (4, 'session')) as k (place, kind)
        where case k.kind
            when 'first_touch' then v.visit_no = 1 and v.last_no > 0
            when 'last_touch' then v.visit_no = v.last_no
            else v.visit_no > v.last_no
        end
        union all
        select v.conversion_no, 2, 'between', min(v.started_at), null, null, null, count(*), sum(v.pages)::bigint
        from placed as v
        where v.visit_no > 1 and v.visit_no < v.last_no
        group by v.conversion_no
        union all
        select
            c.conversion_no, 5, case t.step_no when c.steps then 'goal' else 'step' end, t.taken_at, t.step_no::integer,
            null, null, null, null
        from conversion as c
        cross join lateral unnest(c.step_times) with ordinality as t (taken_at, step_no)
        where t.taken_at is not null
    )

    select
        c.conversion_no,
        c.funnel_id,
        c.converted_at,
        row_number() over (partition by c.conversion_no order by f.happened_at, f.place, f.step_no),
        f.kind,
        f.happened_at,
        f.step_no,
        f.inflow_channel,
        f.channel,
        f.sessions,
        f.pages
    from flow as f
    inner join conversion as c on c.conversion_no = f.conversion_no
    order by 1, 4;
end
$$;
revoke execute on function mart.customer_conversions(text, text, text, timestamptz, timestamptz) from public;
grant execute on function mart.customer_conversions(text, text, text, timestamptz, timestamptz) to jm_cs;

-- Every combination of what is chosen for the functions that take one of each; null, unlike an empty list, is no limit.
create or replace function mart.chosen_each(channels text[], domains text[], device_types text[])
returns table (channel text, domain text, device_type text)
language sql immutable parallel safe
as $$
    select distinct c.channel, d.domain, t.device_type
    from unnest(coalesce(chosen_each.channels, array[null])) as c (channel)
    cross join unnest(coalesce(chosen_each.domains, array[null])) as d (domain)
    cross join unnest(coalesce(chosen_each.device_types, array[null])) as t (device_type)
    where
        (chosen_each.channels is null or c.channel is not null)
        and (chosen_each.domains is null or d.domain is not null)
        and (chosen_each.device_types is null or t.device_type is not null)
$$;
revoke execute on function mart.chosen_each(text[], text[], text[]) from public;

-- Who is in any of these segments now.
create or replace function mart.customers_in(segments text[])
returns setof integer
language sql stable parallel safe
as $$
    select mart.segment_customers(s.segment)
    from unnest(customers_in.segments) as s (segment)
$$;
revoke execute on function mart.customers_in(text[]) from public;

-- The customers behind one number of mart.funnel(), or its sum over several values of a filter (null: no limit): the
-- first 100 by entry, each written down as a look-up. Visitors who are no customers cannot be looked up: left out.
create or replace function mart.funnel_customers(
    viewer text, purpose text, of_funnel text, step integer, outcome text, from_date date, to_date date,
    channels text[] default null, domains text[] default null, segments text[] default null,
    device_types text[] default null
)
returns table (customer_id text, entered_at timestamptz, step_at timestamptz, status text)
language plpgsql volatile security definer rows 100 set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
    if funnel_customers.viewer is null or coalesce(trim(funnel_customers.purpose), '') = '' then
        return;
    end if;
    return query
    with person as materialized (
        select k.customer_id, p.entered_at, p.step_at, p.status
        from mart.chosen_each(
            funnel_customers.channels, funnel_customers.domains, funnel_customers.device_types
        ) as a
        cross join lateral mart.funnel_people(
            funnel_customers.of_funnel, funnel_customers.step, funnel_customers.outcome,
            funnel_customers.from_date, funnel_customers.to_date,
            channel => a.channel, domain => a.domain, device_type => a.device_type
        ) as p
        inner join raw.customer as k on k.customer_id = p.customer_id
        where
            funnel_customers.segments is null
            or k.customer_key in (select m.customer_key from mart.customers_in(funnel_customers.segments) as m (customer_key))
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
revoke execute on function mart.funnel_customers(
    text, text, text, integer, text, date, date, text[], text[], text[], text[]
) from public;
grant execute on function mart.funnel_customers(
    text, text, text, integer, text, date, date, text[], text[], text[], text[]
) to jm_cs;

-- The customers behind a number of a rule (its hits; kind `risk`: those of all rules that score), of an error (code
-- and page), of a page on which sessions ended without a transaction, or of a step or move of a path (as
-- mart.paths_people takes it, `code` being the page left): the latest 100, each written down as a look-up. An error has
-- channel and domain of its own; a hit has those, and the device, of the session of its last event. The score, and the
-- rules that make it, are those of the gravest day of the period (mart.detection_risk), whatever was asked for.
create or replace function mart.behaviour_customers(
    viewer text, purpose text, kind text, code text, error_code text, from_date date, to_date date,
    step integer default null, to_node text default null, anchor text default null, anchor_kind text default null,
    channels text[] default null, domains text[] default null, segments text[] default null,
    device_types text[] default null
)
returns table (customer_id text, times bigint, last_at timestamptz, score integer, rule_ids text[])
language plpgsql volatile security definer rows 100
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    if behaviour_customers.viewer is null or coalesce(trim(behaviour_customers.purpose), '') = '' then
        return;
    end if;
    return query
    with happened as (
        select c.customer_key, d.detected_at as happened_at
        from mart.detection as d
        inner join raw.customer as c on c.customer_key = d.subject_key
        where
            case behaviour_customers.kind
                when 'rule' then d.rule_id = behaviour_customers.code
                when 'risk' then d.score is not null
            end
            and d.detection_date >= coalesce(behaviour_customers.from_date, '-infinity')
            and d.detection_date <= coalesce(behaviour_customers.to_date, 'infinity')
            and (
                (
                    behaviour_customers.channels is null
                    and behaviour_customers.domains is null
                    and behaviour_customers.device_types is null
                )
                or exists (
                    select
                    from mart.session_of_line(d.row_id) as s
                    where
                        (behaviour_customers.channels is null or s.channel = any(behaviour_customers.channels))
                        and (behaviour_customers.domains is null or s.domain = any(behaviour_customers.domains))
                        and (
                            behaviour_customers.device_types is null
                            or s.device_type = any(behaviour_customers.device_types)
                        )
                )
            )
        union all
        select s.customer_key, s.ended_at
        from mart.session_selected(behaviour_customers.from_date, behaviour_customers.to_date, null, null) as s
        inner join raw.node as n on n.node_id = raw.char_node(right(s.path, 1))
        inner join raw.agent as a on a.agent_key = s.agent_key
        where
            behaviour_customers.kind = 'exit'
            and n.node = behaviour_customers.code
            and not s.is_converted
            and s.customer_key is not null
            and (behaviour_customers.channels is null or a.channel = any(behaviour_customers.channels))
            and (behaviour_customers.domains is null or a.domain = any(behaviour_customers.domains))
            and (behaviour_customers.device_types is null or a.device_type = any(behaviour_customers.device_types))
        union all
        select s.customer_key, e.event_at
        from mart.session_selected(behaviour_customers.from_date, behaviour_customers.to_date, null, null) as s
        inner join mart.session_event as e
            on
                e.visitor_key = s.visitor_key
                and e.started_at = s.started_at
                and e.event_at between s.started_at and s.ended_at
        inner join raw.error as r on r.error_key = e.error_key
        inner join raw.node as n on n.node_id = e.node_id
        inner join raw.agent as a on a.agent_key = e.agent_key
        inner join raw.agent as b on b.agent_key = s.agent_key
        where
            behaviour_customers.kind = 'error'
            and s.errors > 0
            -- cut as in mart.error_page, from which they are chosen
            and left(coalesce(r.error_page, n.node), 256) = behaviour_customers.code
            and left(coalesce(r.error_code, '(none)'), 256) = behaviour_customers.error_code
            and s.customer_key is not null
            and (behaviour_customers.channels is null or a.channel = any(behaviour_customers.channels))
            and (behaviour_customers.domains is null or a.domain = any(behaviour_customers.domains))
            and (behaviour_customers.device_types is null or b.device_type = any(behaviour_customers.device_types))
        union all
        select c.customer_key, p.started_at
        from mart.chosen_each(
            behaviour_customers.channels, behaviour_customers.domains, behaviour_customers.device_types
        ) as a
        cross join lateral mart.paths_people(
            behaviour_customers.step, behaviour_customers.code, behaviour_customers.to_node,
            behaviour_customers.anchor, 'first', behaviour_customers.anchor_kind,
            behaviour_customers.from_date, behaviour_customers.to_date,
            channel => a.channel, domain => a.domain, device_type => a.device_type
        ) as p
        inner join raw.customer as c on c.customer_id = p.customer_id
        where behaviour_customers.kind = 'path'
    ),

    person as materialized (
        select k.customer_id, count(*) as times, max(h.happened_at) as last_at
        from happened as h
        inner join raw.customer as k on k.customer_key = h.customer_key
        where
            behaviour_customers.segments is null
            or h.customer_key in (select m.customer_key from mart.customers_in(behaviour_customers.segments) as m (customer_key))
        group by k.customer_id
        order by last_at desc, k.customer_id
        limit 100
    ),

    risk as (
        select distinct on (r.customer_id) r.customer_id, r.score, r.rule_ids
        from mart.detection_risk as r
        where
            r.customer_id = any(array(select p.customer_id from person as p))
            and r.detection_date >= coalesce(behaviour_customers.from_date, '-infinity')
            and r.detection_date <= coalesce(behaviour_customers.to_date, 'infinity')
        order by r.customer_id, r.score desc, r.detection_date desc
    )

    select p.*, r.score, r.rule_ids
    from person as p
    left join risk as r on r.customer_id = p.customer_id
    where mart.log_access(
        behaviour_customers.viewer,
        concat_ws(
            ' ', behaviour_customers.kind, behaviour_customers.step, behaviour_customers.anchor,
            behaviour_customers.code, behaviour_customers.to_node, behaviour_customers.error_code
        ),
        p.customer_id,
        behaviour_customers.purpose
    );
end
$$;
revoke execute on function mart.behaviour_customers(
    text, text, text, text, text, date, date, integer, text, text, text, text[], text[], text[], text[]
) from public;
grant execute on function mart.behaviour_customers(
    text, text, text, text, text, date, date, integer, text, text, text, text[], text[], text[], text[]
) to jm_cs;
