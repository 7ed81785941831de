-- The daily numbers know channels only; with a domain, device or segment, the errors themselves are counted.
{% include '_filters.sql' %}
{% set own_roles = current_user_roles() -%}
{% set period = get_time_filter('session_date') -%}
{% include '_members.sql' %},

error as (
    {% if segments or domains or devices -%}
    select
        session.session_date,
        {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
        left(coalesce(event.error_page, event.node), 256) as error_page,
        left(coalesce(event.error_code, '(none)'), 256) as error_code,
        count(*) as errors,
        count(distinct session.session_id) as sessions
    from mart.event as event
    inner join mart.session as session
        on event.visitor_key = session.visitor_key and event.started_at = session.started_at
    {% if segments %}inner join member on session.customer_key = member.customer_key{% endif %}
    where
        coalesce(event.error_code, event.error_page) is not null
        {% if channels %}and event.channel in {{ channels | where_in }}{% endif %}
        {% if domains %}and event.domain in {{ domains | where_in }}{% endif %}
        {% if devices %}and session.device_type in {{ devices | where_in }}{% endif %}
    group by 1, 2, 3, 4
    {%- else -%}
    select
        session_date,
        null::text as segment,
        error_page,
        error_code,
        errors,
        sessions
    from mart.error_page
    {% if channels %}where channel in {{ channels | where_in }}{% endif %}
    {%- endif %}
),

-- Links are made once for each error, not for each of its days.
named as materialized (
    select
        listed.error_page,
        listed.error_code,
        coalesce(name.label, listed.error_page) as page,
        {% if people_roles | select('in', own_roles or []) | list -%}
        mart.dashboard_link(
            {{ [people] | where_in }},
            jsonb_build_object(
                'behaviour',
                {{ [error] | where_in }} || ' · ' || listed.error_code || ' · '
                || coalesce(name.label || ' (' || name.node || ')', listed.error_page)
            ) || {% include '_carried.sql' %},
            listed.error_code
        )
        {%- else -%}
        listed.error_code
        {%- endif %} as error_shown
    from (select distinct error_page, error_code from error) as listed
    left join (
        select node, min(label) as label
        from mart.node
        group by node
    ) as name on listed.error_page = name.node
)

select
    error.session_date,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    error.segment,
    named.page,
    error.error_code,
    named.error_shown,
    error.errors,
    error.sessions
from error
inner join named on error.error_page = named.error_page and error.error_code = named.error_code
