-- The daily numbers know no customers; with a segment, the sessions themselves are counted.
{% include '_members.sql' %}

{% if segments -%}
select
    session.session_date,
    session.channel,
    session.domain,
    session.device_type,
    member.segment,
    count(*) as sessions,
    count(*) filter (where session.transactions > 0) as converted_sessions,
    sum(session.transactions) as transactions,
    sum(session.amount_krw) as amount_krw,
    count(*) filter (where session.errors > 0) as error_sessions
from mart.session as session
inner join member on session.customer_key = member.customer_key
group by 1, 2, 3, 4, 5
{%- else -%}
select
    daily.session_date,
    daily.channel,
    daily.domain,
    daily.device_type,
    null::text as segment,
    daily.sessions,
    daily.converted_sessions,
    daily.transactions,
    daily.amount_krw,
    daily.error_sessions
from mart.session_daily as daily
{%- endif %}
