-- Entry dates whose funnel numbers this run changes. What is computed again is mostly told as it was, and counts the
-- same; an amount may have changed without it.
-- depends_on: {{ ref('int_funnel__step') }}
{% set told = 'funnel_id, entry_date, version, breakdown, status, step_times' %}
{%- if is_full() %}
select
    funnel_id,
    entry_date
from {{ computed('funnel_entry') }}
group by funnel_id, entry_date
{%- else %}
select distinct
    d.funnel_id,
    d.entry_date
from (
    select {{ told }}
    from (
        select
            {{ told }},
            1 as times
        from {{ computed('funnel_entry') }}
        union all
        select
            {{ told }},
            -1 as times
        from {{ replaced('funnel_entry', told) }} as gone
    ) as e
    group by {{ told }}
    having
        sum(times) <> 0
        or funnel_id in (select s.funnel_id from {{ ref('int_funnel__step') }} as s where s.has_amount)
) as d
{%- endif %}
