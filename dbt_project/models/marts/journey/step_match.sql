{{ config(
    key=['condition_id', 'row_id'],
    replaces="(m.source_rank = 0 and exists (
            select from build.int_session__touched as t where t.visitor_key = m.visitor_key and t.started_at = m.started_at
        ))
        or (m.source_rank = 1 and exists (select from build.transaction_fact as b where b.row_id = m.row_id))
        or (m.source_rank > 0 and exists (select from build.line_duplicate as d where d.row_id = m.row_id))
        or not exists (select from config.condition as c where c.condition_id = m.condition_id)
        or (
            m.condition_id in (select c.condition_id from config.condition as c where c.uses_customer)
            and exists (
                select from build.int_customer__changed as h
                where h.customer_key = m.person_key and m.matched_at >= h.from_at and m.matched_at < h.to_at
            )
        )",
    indexes=[['person_key'], ['visitor_key']],
) }}
-- depends_on: {{ ref('session_event') }} {{ ref('session_fact') }} {{ ref('transaction_fact') }}
-- depends_on: {{ ref('consultation') }} {{ ref('campaign_send') }} {{ ref('subscription') }}
-- depends_on: {{ ref('survey_response') }} {{ ref('customer') }} {{ ref('inflow') }} {{ ref('int_customer__changed') }}
-- depends_on: {{ ref('int_session__touched') }} {{ ref('step_condition') }} {{ ref('line_duplicate') }}
{# What can match; rank orders what happened at one moment (SOURCES in definitions/conditions.py).
   model: of the mart; raw: what is looked up of a line; at: when it happened. #}
{% set sources = [
    {'rank': 0, 'name': 'screen', 'model': 'session_event', 'raw': 'clickstream', 'at': 'event_at'},
    {'rank': 1, 'name': 'transaction', 'model': 'transaction_fact', 'raw': 'transactions', 'at': 'transacted_at'},
    {'rank': 2, 'name': 'consultation', 'model': 'consultation', 'raw': 'consultations', 'at': 'consulted_at'},
    {'rank': 3, 'name': 'campaign', 'model': 'campaign_send', 'raw': 'campaign_sends', 'at': 'sent_at'},
    {'rank': 4, 'name': 'subscription', 'model': 'subscription', 'raw': 'subscriptions', 'at': 'subscribed_at'},
    {'rank': 5, 'name': 'survey', 'model': 'survey_response', 'raw': 'survey_responses', 'at': 'responded_at'},
] %}
{% set parts = [] %}
{% for of in sources %}
    {% for which, rows in [('known', 'computed'), ('customer', 'customer'), ('new', 'all')] %}
        {% set found = conditions(of.name, which) %}
        {% if found %}{% do parts.append(step_matches(of, rows, found)) %}{% endif %}
    {% endfor %}
{% endfor %}
{% if parts -%}
{# A row may be both computed by this run and of a customer of whom more is known. -#}
{{ parts | join('\nunion all\n' if is_full() else '\nunion\n') }}
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
