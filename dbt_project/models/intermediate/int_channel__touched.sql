-- Whose touches are computed in this run, for which funnels: entries that change, and those after a session that does.
-- The steps of a rule are a funnel as well, but what brings people to it is not reported.
-- Entries that stay are found by what is published of them: their subject is its index, whatever the number of funnels.
-- depends_on: {{ ref('funnel_entry') }} {{ ref('session_fact') }} {{ ref('int_session__touched') }}
{% set no_rules -%}
    where funnel_id not in (select d.definition_id from {{ source('config', 'definition') }} as d where d.kind = 'rules')
{%- endset %}
{%- if is_full() %}
select distinct
    funnel_id,
    subject_key
from {{ ref('funnel_entry') }}
{{ no_rules }}
{%- else %}
select
    funnel_id,
    subject_key
from {{ computed('funnel_entry') }}
{{ no_rules }}
union
select
    funnel_id,
    subject_key
from {{ replaced('funnel_entry', 'funnel_id, subject_key') }} as gone
{{ no_rules }}
union
select
    t.funnel_id,
    t.subject_key
from (
    select
        k.subject_key,
        min(s.session_date) as session_date
    from {{ changed_sessions() }} as s
    cross join lateral (values (s.customer_key), (-s.visitor_key)) as k (subject_key)
    group by k.subject_key
) as p
{{ look_up(published('funnel_touch'), 't', 't.subject_key = p.subject_key and t.entry_date >= p.session_date') }}
{%- endif %}
