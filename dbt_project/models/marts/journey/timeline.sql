{{ config(materialized='mart_view') }}
{#- Whose session it is, or of one that several customers share each event is its own customer's: looked for on the
    devices and dates of their logins, as events have no index by customer. #}
{%- for who in ['one', 'several'] %}
select
    c.customer_id,
    e.event_at as happened_at,
    'behaviour' as kind,
    n.label as title,
    concat_ws(' · ', t.action_type, coalesce(d.click_text, d.popup_name, d.tab_name), r.error_code) as detail,
    s.session_id,
    a.channel,
    null::numeric(38, 2) as amount_krw,
    e.error_key is not null as is_error
from {{ source('raw', 'customer') }} as c
{% if who == 'one' -%}
inner join {{ ref('session_fact') }} as s on c.customer_key = s.customer_key
{%- else -%}
inner join {{ ref('device_login') }} as l on c.customer_key = l.customer_key
inner join {{ ref('session_fact') }} as s
    on
        l.visitor_key = s.visitor_key
        and s.customer_key is null
        and s.started_at < {{ midnight('(l.login_date + 1)') }}
        and s.ended_at >= {{ midnight('l.login_date') }}
{%- endif %}
inner join {{ ref('session_event') }} as e
    on
        s.visitor_key = e.visitor_key
        and s.started_at = e.started_at
        and e.event_at between s.started_at and s.ended_at
        {%- if who == 'several' %}
        and l.customer_key = e.customer_key
        and e.event_at >= {{ midnight('l.login_date') }}
        and e.event_at < {{ midnight('(l.login_date + 1)') }}
        {%- endif %}
left join {{ ref('node') }} as n on e.node_id = n.node_id
left join {{ source('raw', 'action') }} as t on e.action_id = t.action_id
left join {{ source('raw', 'agent') }} as a on e.agent_key = a.agent_key
left join {{ source('raw', 'error') }} as r on e.error_key = r.error_key
left join {{ source('raw', 'clickstream') }} as d on e.row_id = d.row_id
union all
{% endfor -%}
select
    c.customer_id,
    t.transacted_at as happened_at,
    'transaction' as kind,
    n.label as title,
    concat_ws(
        ' · ', rtrim(to_char(t.amount, 'FM999,999,999,999,999,990.9999'), '.'), t.currency, t.result_code
    ) as detail,
    s.session_id,
    t.channel,
    t.amount_krw,
    t.is_failed as is_error
from {{ source('raw', 'customer') }} as c
inner join {{ ref('transaction_fact') }} as t on c.customer_key = t.customer_key
left join {{ ref('session_fact') }} as s on t.session_visitor_key = s.visitor_key and t.started_at = s.started_at
left join {{ ref('node') }} as n on t.node_id = n.node_id
union all
select
    c.customer_id,
    o.consulted_at as happened_at,
    'consultation' as kind,
    coalesce(o.category, 'consultation') as title,
    concat_ws(' · ', o.result, o.agent_team) as detail,
    null::uuid as session_id,
    o.channel,
    null::numeric(38, 2) as amount_krw,
    false as is_error
from {{ source('raw', 'customer') }} as c
inner join {{ ref('consultation') }} as o on c.customer_key = o.customer_key
union all
select
    c.customer_id,
    m.sent_at as happened_at,
    'campaign' as kind,
    m.campaign_id as title,
    concat_ws(' · ', m.message_id, m.result) as detail,
    null::uuid as session_id,
    m.channel,
    null::numeric(38, 2) as amount_krw,
    false as is_error
from {{ source('raw', 'customer') }} as c
inner join {{ ref('campaign_send') }} as m on c.customer_key = m.customer_key
union all
select
    c.customer_id,
    s.subscribed_at as happened_at,
    'subscription' as kind,
    coalesce(s.product_name, s.product_code) as title,
    concat_ws(' · ', '가입', s.status) as detail,
    null::uuid as session_id,
    s.channel,
    null::numeric(38, 2) as amount_krw,
    false as is_error
from {{ source('raw', 'customer') }} as c
inner join {{ ref('subscription') }} as s on c.customer_key = s.customer_key
union all
select
    c.customer_id,
    s.ended_at as happened_at,
    'subscription' as kind,
    coalesce(s.product_name, s.product_code) as title,
    concat_ws(' · ', '해지', s.status) as detail,
    null::uuid as session_id,
    s.channel,
    null::numeric(38, 2) as amount_krw,
    false as is_error
from {{ source('raw', 'customer') }} as c
inner join {{ ref('subscription') }} as s on c.customer_key = s.customer_key
where s.ended_at is not null
union all
select
    c.customer_id,
    v.responded_at as happened_at,
    'survey' as kind,
    coalesce(v.rule_id, 'survey') as title,
    v.answers::text as detail,
    null::uuid as session_id,
    null as channel,
    null::numeric(38, 2) as amount_krw,
    false as is_error
from {{ source('raw', 'customer') }} as c
inner join {{ ref('survey_response') }} as v on c.customer_key = v.customer_key
