-- depends_on: {{ ref('cohort_day') }} {{ ref('int_cohort__touched') }} {{ ref('int_cohort__condition') }}
-- All days of the persons who are touched in this run, as published; reports count their difference.
{{ days_of_touched(ref('cohort_day') if is_full() else published('cohort_day')) }}
