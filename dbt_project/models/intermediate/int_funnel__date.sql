-- Entry dates whose funnel numbers this run changes. What is computed again is mostly told as it was, and counts the
-- same; the amount of a transaction may have changed without it.
-- depends_on: {{ ref('transaction_fact') }}
{% set told = 'funnel_id, entry_date, version, breakdown, status, step_times, step_rows, is_tie_decided' %}
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
    select
        funnel_id,
        entry_date
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
    having sum(times) <> 0
    union all
    select
        e.funnel_id,
        e.entry_date
    from {{ computed('funnel_entry') }} as e
    cross join unnest(e.step_rows) as t (row_id)
    inner join {{ computed('transaction_fact') }} as f on t.row_id = f.row_id
) as d
{%- endif %}
