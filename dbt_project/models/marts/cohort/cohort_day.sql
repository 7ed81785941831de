{{ config(
    key=['cohort_id', 'person_key', 'active_date'],
    replaces=[
        "exists (
            select from build.int_cohort__touched as t
            where t.cohort_id = m.cohort_id and t.person_key = m.person_key and t.active_date = m.active_date
        )",
        is_of_retired('cohorts', 'cohort_id'),
    ],
) }}
-- depends_on: {{ ref('int_cohort__touched') }}
-- An event may be a start and a return at once; it does not return to itself.
with matched as (
    select
        c.cohort_id,
        c.version,
        m.person_key,
        {{ business_date('m.matched_at') }} as active_date,
        c.is_start,
        c.is_return,
        dense_rank() over (
            partition by c.cohort_id, m.person_key order by m.matched_at, m.source_rank, m.row_id
        ) as match_no
    from {{ ref('int_cohort__condition') }} as c
    {%- if is_full() %}
    inner join {{ ref('step_match') }} as m on c.condition_id = m.condition_id
    {%- else %}
    inner join {{ ref('int_cohort__touched') }} as t on c.cohort_id = t.cohort_id
    {{ look_up(
        ref('step_match'), 'm',
        'm.person_key = t.person_key and m.matched_at >= ' ~ midnight('t.active_date')
        ~ ' and m.matched_at < ' ~ midnight('(t.active_date + 1)')
    ) }}
    where c.condition_id = m.condition_id
    {%- endif %}
)

select
    cohort_id,
    version,
    person_key,
    active_date,
    bool_or(is_start) as is_start,
    bool_or(is_return) as is_return,
    coalesce(max(match_no) filter (where is_return) > min(match_no) filter (where is_start), false) as returns_later
from matched
group by cohort_id, version, person_key, active_date
