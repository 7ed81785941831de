{{ config(
    key=['visitor_key', 'login_date', 'customer_key'],
    replaces="exists (
        select from build.int_device__touched as t where t.visitor_key = m.visitor_key and t.login_date = m.login_date
    )",
) }}
-- depends_on: {{ ref('int_device__touched') }}
-- Any line of the day proves it; the one that landed first is named.
select
    e.visitor_key,
    {{ business_date('e.event_at') }} as login_date,
    e.customer_key,
    min(e.row_id) as row_id
from {{ ref('session_event') }} as e
{%- if not is_full() %}
inner join {{ ref('int_device__touched') }} as t
    on
        e.visitor_key = t.visitor_key
        and e.event_at >= t.login_date::timestamp at time zone '{{ session_policy().time_zone }}'
        and e.event_at < (t.login_date + 1)::timestamp at time zone '{{ session_policy().time_zone }}'
{%- endif %}
where e.customer_key is not null
group by 1, 2, 3
