-- Entries of a funnel by the filters that its reports share; null means no limit, both dates are included. channel,
-- domain and device are those of the session of the entry; a segment is of customers: of a visitor or session, the
-- customer of that session (mart.entry_customer). A plain SQL function: Postgres puts it into the query that calls it.
create or replace function mart.funnel_selected(
    funnel_id text, count_by text, from_date date, to_date date,
    channel text, domain text, segment text, device_type text
)
returns setof mart.funnel_entry
language sql stable
as $$
    select e.*
    from mart.funnel_entry as e
    cross join lateral mart.entry_customer(
        funnel_selected.count_by, e.subject_key, e.visitor_key, e.started_at
    ) as p
    where
        e.funnel_id = funnel_selected.funnel_id
        and e.entry_date >= coalesce(funnel_selected.from_date, '-infinity')
        and e.entry_date <= coalesce(funnel_selected.to_date, 'infinity')
        and (
            (
                funnel_selected.channel is null
                and funnel_selected.domain is null
                and funnel_selected.device_type is null
            )
            or exists (
                select
                from mart.session_fact as s
                inner join raw.agent as a on a.agent_key = s.agent_key
                where
                    s.visitor_key = e.visitor_key
                    and s.started_at = e.started_at
                    and (funnel_selected.channel is null or a.channel = funnel_selected.channel)
                    and (funnel_selected.domain is null or a.domain = funnel_selected.domain)
                    and (funnel_selected.device_type is null or a.device_type = funnel_selected.device_type)
            )
        )
        and (
            funnel_selected.segment is null
            or p.customer_key in (
                select c.customer_key from mart.segment_customers(funnel_selected.segment) as c (customer_key)
            )
        )
$$;
revoke execute on function mart.funnel_selected(text, text, date, date, text, text, text, text) from public;
