{% set key = ['cohort_id', 'version', 'cohort_start', 'age'] %}
{{ config(
    key=key,
    keep='(b.started > 0 or b.returned > 0)',
    replaces=[
        "exists (
            select from build.retention_count as b
            where b.cohort_id = m.cohort_id and b.version = m.version and b.cohort_start = m.cohort_start and b.age = m.age
        )",
        is_of_retired('cohorts', 'cohort_id'),
    ],
) }}
-- Persons who start are counted at age 0; an unbounded report counts returns at the last age.
-- depends_on: {{ ref('cohort_day') }} {{ ref('int_cohort__after') }} {{ ref('int_cohort__before') }}
{% set changed = [(1, ref('int_cohort__after')), (-1, ref('int_cohort__before'))] %}
{% set changes = [(1, ref('cohort_day'))] if is_full() else changed %}
{% set signed %}(
    {%- for sign, days in changes %}
    select
        c.cohort_id,
        c.version,
        p.cohort_start,
        coalesce(p.age, 0) as age,
        {{ sign }} * count(*) filter (where p.age is null) as started,
        {{ sign }} * count(p.age) as returned
    from {{ ref('cohort') }} as c
    cross join lateral
        raw.retention_person('{{ days }}', c.cohort_id, c.period, c.mode, c.entry, c.ages, c.brackets) as p
    group by 1, 2, 3, 4
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
){% endset %}
{{ counted('retention_count', key, ['started', 'returned'], signed) }}
