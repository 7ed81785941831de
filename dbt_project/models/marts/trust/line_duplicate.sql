{{ config(key=['row_id']) }}
-- depends_on: {{ ref('int_run__event') }}
-- Clickstream ids are compared as text only where 64 bits of their hash agree.
with repeated as {{ '' if is_full() else 'materialized ' }}(
    {%- if is_full() %}
    select event_hash
    from {{ landed('event') }}
    group by event_hash
    having count(*) > 1
    {%- else %}
    -- one walk through the index, and first: the planner would read all events for those of a day
    select event_hash
    from {{ source('raw', 'event') }}
    where event_hash = any(array(select l.event_hash from {{ new_lines('event') }} as l))
    group by event_hash
    having count(*) > 1
    {%- endif %}
),

events as (
    select
        e.row_id,
        first_value(e.row_id) over (partition by c.event_id order by e.event_at, e.row_id) as of_row_id
    from repeated as r
    {{ look_up(landed('event') if is_full() else source('raw', 'event'), 'e', 'r.event_hash = e.event_hash') }}
    {{ look_up(source('raw', 'clickstream'), 'c', 'e.row_id = c.row_id') }}
    {%- if not is_full() %}
    where {{ is_visible('e.row_id') }}
    {%- endif %}
)

select
    row_id,
    of_row_id
from events
where row_id <> of_row_id
union all
{{ duplicates('transactions', 'transaction_id', 'transacted_at') }}
union all
{# What was said last of a day counts, as of days on which something changed twice. -#}
{{ duplicates('customers', "customer_key, coalesce(effective_date, date '1800-01-01')", 'row_id desc') }}
union all
{{ duplicates('consultations', 'consultation_id', 'consulted_at') }}
union all
{# Sent again with more known: what was clicked and opened counts before what was not. -#}
{{ duplicates('campaign_sends', 'send_id', 'clicked_at nulls last, opened_at nulls last, sent_at') }}
union all
{# The latest state counts, however its lines arrive. -#}
{{ duplicates('subscriptions', 'subscription_id', 'ended_at desc nulls last, row_id desc') }}
union all
{{ duplicates('survey_responses', 'response_id', 'responded_at') }}
union all
{{ duplicates('consents', 'customer_key, purpose, effective_at, is_granted') }}
