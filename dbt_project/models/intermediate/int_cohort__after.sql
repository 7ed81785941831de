-- depends_on: {{ ref('cohort_day') }} {{ ref('int_cohort__touched') }}
-- All days of the persons who are touched in this run, as they will be; reports count their difference.
select d.*
from {{ ref('cohort_day') if is_full() else ref('cohort_day') }} as d
where
    {%- if is_full() %}
    false
    {%- else %}
    (d.cohort_id, d.person_key) in (
        select
            t.cohort_id,
            t.person_key
        from {{ ref('int_cohort__touched') }} as t
    )
    {%- endif %}
