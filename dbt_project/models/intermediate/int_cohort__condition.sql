-- What is matched for each cohort, and as what. is_new: the published numbers do not follow this version.
select
    c.cohort_id,
    c.version,
    {{ is_new_definition("'cohorts'", 'c.cohort_id', 'c.version') }} as is_new,
    k.condition_id,
    k.condition_id = c.start_condition_id as is_start,
    k.condition_id = c.return_condition_id as is_return
from {{ ref('cohort') }} as c
cross join lateral (
    select c.start_condition_id as condition_id
    union
    select c.return_condition_id
) as k
