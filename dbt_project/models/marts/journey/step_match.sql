{{ config(
    key=['condition_id', 'row_id'],
    replaces=[
        "m.source_rank = 0 and exists (
            select from build.int_session__touched as t where t.visitor_key = m.visitor_key and t.started_at = m.started_at
        )",
        "m.source_rank = 1 and (m.condition_id, m.row_id) in (
            select c.condition_id, b.row_id from mart.step_condition as c cross join build.transaction_fact as b
            where c.source = 'transaction'
        )",
        "m.source_rank > 0 and (m.condition_id, m.row_id) in (
            select c.condition_id, d.row_id from mart.step_condition as c cross join build.line_duplicate as d
        )",
        "m.condition_id in (
            select c.condition_id from mart.step_condition as c
            where not exists (select from config.condition as k where k.condition_id = c.condition_id)
        )",
        "m.condition_id in (select c.condition_id from config.condition as c where c.uses_customer)
        and exists (
            select from build.int_customer__changed as h
            where h.customer_key = m.person_key and m.matched_at >= h.from_at and m.matched_at < h.to_at
        )",
    ],
    indexes=[['person_key', 'matched_at'], ['visitor_key']],
) }}
-- depends_on: {{ ref('session_event') }} {{ ref('session_fact') }} {{ ref('transaction_fact') }}
-- depends_on: {{ ref('consultation') }} {{ ref('campaign_send') }} {{ ref('subscription') }}
-- depends_on: {{ ref('survey_response') }} {{ ref('customer') }} {{ ref('inflow') }} {{ ref('int_customer__changed') }}
-- depends_on: {{ ref('int_session__touched') }} {{ ref('int_step__node') }} {{ ref('step_condition') }}
-- depends_on: {{ ref('line_duplicate') }}
{# What can match; rank orders what happened at one moment (SOURCES in definitions/fields.py).
   model: of the mart; raw: what is looked up of a line; at: when it happened. #}
{% set sources = [
    {'rank': 0, 'name': 'screen', 'model': 'session_event', 'raw': 'clickstream', 'at': 'event_at'},
    {'rank': 1, 'name': 'transaction', 'model': 'transaction_fact', 'raw': 'transactions', 'at': 'transacted_at'},
    {'rank': 2, 'name': 'consultation', 'model': 'consultation', 'raw': 'consultations', 'at': 'consulted_at'},
    {'rank': 3, 'name': 'campaign', 'model': 'campaign_send', 'raw': 'campaign_sends', 'at': 'sent_at'},
    {'rank': 4, 'name': 'subscription', 'model': 'subscription', 'raw': 'subscriptions', 'at': 'subscribed_at'},
    {'rank': 5, 'name': 'survey', 'model': 'survey_response', 'raw': 'survey_responses', 'at': 'responded_at'},
] %}
{% set parts = {'known': [], 'customer': [], 'new': []} %}
{% for of in sources %}
    {% for which, rows in [('known', 'computed'), ('customer', 'customer'), ('new', 'all')] %}
        {% set found = conditions(of.name, which) %}
        {% set others = found | rejectattr(5) | list %}
        {% if found | length > others | length and which != 'customer' %}
            {% do parts[which].append(node_matches(rows)) %}
        {% endif %}
        {% if others %}{% do parts[which].append(step_matches(of, rows, others)) %}{% endif %}
    {% endfor %}
{% endfor %}
{% set known = (parts.known + parts.customer) | join('\nunion\n' if parts.customer else '\nunion all\n') %}
{% if known or parts.new -%}
{# A row may be both computed by this run and of a customer of whom more is known. -#}
{{ (([known] if known else []) + parts.new) | join('\nunion all\n') }}
{%- else -%}
select
    null::text as condition_id,
    e.row_id,
    e.event_at as matched_at,
    0::smallint as source_rank,
    e.customer_key as person_key,
    e.visitor_key,
    e.started_at,
    null::text as hold_value,
    null::text as breakdown_value
from {{ computed('session_event') }} as e
where false
{%- endif %}
