{{ config(
    key=['cohort_id', 'version', 'period_start', 'status'],
    keep='b.persons > 0',
    replaces=[
        "exists (
            select from build.lifecycle_count as b
            where b.cohort_id = m.cohort_id and b.version = m.version and b.period_start = m.period_start and b.status = m.status
        )",
        is_of_retired('cohorts', 'cohort_id'),
    ],
) }}
-- depends_on: {{ ref('cohort_day') }} {{ ref('int_cohort__after') }} {{ ref('int_cohort__before') }}
{% set changed = [(1, ref('int_cohort__after')), (-1, ref('int_cohort__before'))] %}
{% set changes = [(1, ref('cohort_day'))] if is_full() else changed %}
{% set signed %}(
    {%- for sign, days in changes %}
    select
        c.cohort_id,
        c.version,
        p.period_start,
        p.status,
        {{ sign }} * count(*) as persons
    from {{ ref('cohort') }} as c
    cross join lateral raw.lifecycle_person('{{ days }}', c.cohort_id, c.period) as p
    group by 1, 2, 3, 4
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
){% endset %}
{{ counted('lifecycle_count', ['cohort_id', 'version', 'period_start', 'status'], ['persons'], signed) }}
