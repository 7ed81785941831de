-- Persons and visitors whose sessions or funnels change in this run.
-- depends_on: {{ ref('funnel_entry') }} {{ ref('int_session__changed') }}
{%- if is_full() %}
select distinct subject_key
from {{ ref('funnel_entry') }}
{%- else %}
select customer_key as subject_key
from {{ ref('int_session__changed') }}
where customer_key is not null
union
select -visitor_key as subject_key
from {{ ref('int_session__changed') }}
union
select subject_key
from {{ computed('funnel_entry') }}
union
select subject_key
from {{ replaced('funnel_entry', 'subject_key') }} as gone
{%- endif %}
