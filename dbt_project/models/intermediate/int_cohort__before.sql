-- depends_on: {{ ref('cohort_day') }} {{ ref('int_cohort__touched') }} {{ ref('int_cohort__condition') }}
-- All days of the persons who are touched in this run, as published, of the versions that are applied; reports count
-- their difference. None when everything is computed anew.
select
    d.cohort_id,
    d.version,
    d.person_key,
    d.active_date,
    d.is_start,
    d.is_return,
    d.returns_later
{%- if is_full() %}
from {{ ref('cohort_day') }} as d
where false
{%- else %}
from (
    select distinct
        cohort_id,
        person_key
    from {{ ref('int_cohort__touched') }}
) as t
{{ look_up(published('cohort_day'), 'd', 'd.cohort_id = t.cohort_id and d.person_key = t.person_key') }}
where exists (
    select from {{ ref('int_cohort__condition') }} as c where c.cohort_id = d.cohort_id and c.version = d.version
)
{%- endif %}
