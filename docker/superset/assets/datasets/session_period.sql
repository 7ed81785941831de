-- Sessions of the chosen period and, if it has any, of the one before, each on the first day of the period. What is 0 before
-- is empty: nothing can be said relative to it. The filters act in here and not around it.
{% set period = get_time_filter('session_date', remove_filter=True) -%}
{% include '_filters.sql' %}
{% include '_members.sql' %},

{% include '_span.sql' %},

-- The daily numbers know neither customers nor the time of day.
session as (
    {% if not segments -%}
    select
        daily.session_date,
        daily.session_date::timestamptz as started_at,
        null::text as segment,
        daily.sessions,
        daily.converted_sessions,
        daily.transactions,
        daily.amount_krw,
        daily.error_sessions
    from mart.session_daily as daily
    cross join span
    where
        (daily.session_date >= span.from_date or daily.session_date <> span.until_at::date)
        {% if channels %}and daily.channel in {{ channels | where_in }}{% endif %}
        {% if domains %}and daily.domain in {{ domains | where_in }}{% endif %}
        {% if devices %}and daily.device_type in {{ devices | where_in }}{% endif %}
    union all
    {% endif -%}
    select
        session.session_date,
        session.started_at,
        {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
        1 as sessions,
        session.is_converted::integer as converted_sessions,
        session.transactions,
        session.amount_krw,
        (session.errors > 0)::integer as error_sessions
    from mart.session as session
    {% if segments %}inner join member on session.customer_key = member.customer_key{% endif %}
    where
        {% if segments -%}
        session.session_date >= (select compared_from from span)
        and session.session_date < (select to_date from span)
        {%- else -%}
        session.session_date = (select until_at::date from span where until_at < from_date)
        {%- endif %}
        {% if channels %}and session.channel in {{ channels | where_in }}{% endif %}
        {% if domains %}and session.domain in {{ domains | where_in }}{% endif %}
        {% if devices %}and session.device_type in {{ devices | where_in }}{% endif %}
),

counted as (
    select
        session.session_date < span.from_date as is_before,
        session.segment,
        sum(session.sessions) as sessions,
        sum(session.converted_sessions) as converted_sessions,
        sum(session.transactions) as transactions,
        coalesce(sum(session.amount_krw), 0) as amount_krw,
        sum(session.error_sessions) as error_sessions
    from session
    cross join span
    where
        session.session_date >= span.compared_from
        and session.session_date < span.to_date
        and (session.session_date >= span.from_date or session.started_at <= span.until_at)
    group by 1, 2
)

select
    case when counted.is_before then span.before_date else span.from_date end as session_date,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    counted.segment,
    counted.sessions,
    case when counted.is_before then nullif(counted.converted_sessions, 0) else counted.converted_sessions end as converted_sessions,
    case when counted.is_before then nullif(counted.transactions, 0) else counted.transactions end as transactions,
    case when counted.is_before then nullif(counted.amount_krw, 0) else counted.amount_krw end as amount_krw,
    case when counted.is_before then nullif(counted.error_sessions, 0) else counted.error_sessions end as error_sessions
from counted
cross join span
where not counted.is_before or exists (select from counted as chosen where not chosen.is_before)
