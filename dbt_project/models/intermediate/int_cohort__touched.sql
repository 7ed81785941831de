-- Persons and dates whose matches change in this run; all of a cohort that is new. Empty when everything is computed
-- anew.
{% set columns = 'condition_id, person_key, matched_at' %}
select distinct
    c.cohort_id,
    m.person_key,
    {{ business_date('m.matched_at') }} as active_date
from (
    select {{ columns }}
    from {{ computed('step_match') }}
    {%- if is_full() %}
    where false
    {%- else %}
    union all
    select {{ columns }}
    from {{ replaced('step_match', columns) }} as gone
    {%- endif %}
) as m
inner join {{ ref('int_cohort__condition') }} as c on m.condition_id = c.condition_id
{%- if not is_full() %}
where not c.is_new
union
select
    c.cohort_id,
    m.person_key,
    {{ business_date('m.matched_at') }} as active_date
from {{ ref('int_cohort__condition') }} as c
inner join {{ ref('step_match') }} as m on c.condition_id = m.condition_id
where c.is_new
{%- endif %}
