{{ config(key=['condition_id', 'match_date'], keep='b.matches > 0') }}
{% set signed %}(
    {%- for sign, rows in signed_rows('step_match', 'condition_id, matched_at') %}
    select
        m.condition_id,
        {{ business_date('m.matched_at') }} as match_date,
        {{ sign }} * count(*) as matches
    from {{ rows }} as m
    group by 1, 2
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
){% endset %}
-- depends_on: {{ ref('step_match') }}
{{ counted('step_daily', ['condition_id', 'match_date'], ['matches'], signed) }}
