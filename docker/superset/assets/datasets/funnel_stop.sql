-- Everybody who has not gone on from a step: where they went next within the session, and the first error they met from then on.
{% set period = get_time_filter('entry_date') -%}
{% include '_filters.sql' %}
{% include '_members.sql' %},

{% include '_funnel.sql' %},

stopped as (
    select
        entry.entry_date,
        asked.funnel_id,
        asked.owner,
        asked.funnel,
        null::text as channel,
        null::text as domain,
        null::text as device_type,
        {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
        entry.step_reached as step_no,
        entry.step_reached || '. ' || asked.step_names[entry.step_reached] as step,
        entry.step_times[entry.step_reached] as stopped_at,
        entry.subject_key
    from mart.funnel_entry as entry
    inner join asked on entry.funnel_id = asked.funnel_id and entry.version = asked.version
    {% if channels or domains or devices -%}
    inner join mart.session as session on entry.visitor_key = session.visitor_key and entry.started_at = session.started_at
    {%- endif %}
    {% if segments -%}
    cross join lateral mart.entry_customer(
        asked.count_by, entry.subject_key, entry.visitor_key, entry.started_at
    ) as person
    inner join member on person.customer_key = member.customer_key
    {%- endif %}
    where
        entry.status <> 'converted'
        {% if period.from_expr %}and entry.entry_date >= {{ period.from_expr }}{% endif %}
        {% if period.to_expr %}and entry.entry_date < {{ period.to_expr }}{% endif %}
        {% if channels %}and session.channel in {{ channels | where_in }}{% endif %}
        {% if domains %}and session.domain in {{ domains | where_in }}{% endif %}
        {% if devices %}and session.device_type in {{ devices | where_in }}{% endif %}
)

select
    stopped.entry_date,
    stopped.funnel_id,
    stopped.owner,
    stopped.funnel,
    stopped.channel,
    stopped.domain,
    stopped.device_type,
    stopped.segment,
    stopped.step_no,
    stopped.step,
    coalesce(node.label, {{ [exit] | where_in }}) as next_page,
    error.error_code is not null as is_error,
    error.error_code,
    1 as people
from stopped
-- A step is taken in a session of the customer or, where no customer is known, of the visitor.
left join lateral (
    (
        select visitor_key, started_at, ended_at, errors
        from mart.session_fact
        where
            customer_key = stopped.subject_key and started_at <= stopped.stopped_at and ended_at >= stopped.stopped_at
        order by started_at desc
        limit 1
    )
    union all
    (
        select visitor_key, started_at, ended_at, errors
        from mart.session_fact
        where
            visitor_key = -stopped.subject_key and started_at <= stopped.stopped_at and ended_at >= stopped.stopped_at
        order by started_at desc
        limit 1
    )
) as session_of_step on true
left join lateral (
    select node_id
    from mart.session_event
    where
        visitor_key = session_of_step.visitor_key and is_move
        and event_at > stopped.stopped_at and event_at <= session_of_step.ended_at
    order by event_at, row_id
    limit 1
) as onward on true
left join mart.node as node on onward.node_id = node.node_id
left join lateral (
    select error_code
    from mart.event
    where
        session_of_step.errors > 0 and visitor_key = session_of_step.visitor_key and error_code is not null
        and event_at >= stopped.stopped_at and event_at <= session_of_step.ended_at
    order by event_at
    limit 1
) as error on true
