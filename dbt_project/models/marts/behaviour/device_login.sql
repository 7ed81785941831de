{{ config(
    key=['visitor_key', 'login_date', 'customer_key'],
    replaces="exists (
        select from build.int_device__touched as t where t.visitor_key = m.visitor_key and t.login_date = m.login_date
    )",
    indexes=[['customer_key', 'visitor_key', 'login_date']],
) }}
-- depends_on: {{ ref('int_device__touched') }}
-- Any line of the day proves it; the one that landed first is named.
select
    e.visitor_key,
    {{ business_date('e.event_at') }} as login_date,
    e.customer_key,
    min(e.row_id) as row_id
{% if is_full() -%}
from {{ ref('session_event') }} as e
{%- else -%}
from {{ ref('int_device__touched') }} as t
{{ look_up(ref('session_event'), 'e', "e.visitor_key = t.visitor_key and e.event_at >= " ~ midnight('t.login_date')
    ~ " and e.event_at < " ~ midnight('(t.login_date + 1)')) }}
{%- endif %}
where e.customer_key is not null
group by 1, 2, 3
