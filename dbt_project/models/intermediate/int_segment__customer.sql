-- Customers whose segments are computed in this run, and since when they are known: those with anything that changes;
-- everyone when a segment is new.
-- depends_on: {{ ref('int_session__changed') }} {{ ref('transaction_fact') }} {{ ref('customer') }}
-- depends_on: {{ ref('step_match') }} {{ ref('funnel_entry') }}
with touched as (
    {%- if is_full() %}
    select customer_key from {{ source('raw', 'customer') }}
    {%- else %}
    select customer_key from {{ ref('int_session__changed') }}
    union
    select customer_key from {{ computed('transaction_fact') }}
    union
    select customer_key from {{ replaced('transaction_fact', 'customer_key') }} as gone
    union
    select customer_key from {{ computed('customer') }}
    union
    select person_key from {{ computed('step_match') }}
    union
    select person_key from {{ replaced('step_match', 'person_key') }} as gone
    union
    select subject_key from {{ computed('funnel_entry') }}
    union
    select subject_key from {{ replaced('funnel_entry', 'subject_key') }} as gone
    union
    select customer_key from {{ source('raw', 'customer') }}
    where
        exists (
            select from {{ source('config', 'definition') }} as d
            where d.kind = 'segments' and d.retired_at is null and {{ is_new_definition() }}
        )
    {%- endif %}
)

select
    t.customer_key,
    least(
        (select min(s.started_at) from {{ ref('session_fact') }} as s where s.customer_key = t.customer_key),
        (select min(f.transacted_at) from {{ ref('transaction_fact') }} as f where f.customer_key = t.customer_key),
        (select min(m.matched_at) from {{ ref('step_match') }} as m where m.person_key = t.customer_key),
        (
            select min(u.valid_from)::timestamp at time zone '{{ session_policy().time_zone }}'
            from {{ ref('customer') }} as u
            where u.customer_key = t.customer_key
        )
    ) as known_from
from touched as t
where t.customer_key > 0
