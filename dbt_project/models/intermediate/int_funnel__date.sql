-- Entry dates whose funnel numbers this run changes.
select
    funnel_id,
    entry_date
from {{ computed('funnel_entry') }}
{%- if not is_full() %}
union
select
    funnel_id,
    entry_date
from {{ replaced('funnel_entry', 'funnel_id, entry_date') }} as gone
{%- else %}
group by 1, 2
{%- endif %}
