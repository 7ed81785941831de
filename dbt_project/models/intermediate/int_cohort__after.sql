-- depends_on: {{ ref('cohort_day') }}
-- All days of the persons who are touched in this run, as they will be; reports count their difference.
select b.*
from {{ ref('int_cohort__before') }} as b
where not exists (
    select from {{ ref('int_cohort__touched') }} as t
    where t.cohort_id = b.cohort_id and t.person_key = b.person_key and t.active_date = b.active_date
)
{%- if not is_full() %}
union all
select
    cohort_id,
    version,
    person_key,
    active_date,
    is_start,
    is_return,
    returns_later
from {{ computed('cohort_day') }}
{%- endif %}
