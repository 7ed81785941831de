{{ config(key=['condition_id', 'match_date'], keep='b.matches > 0') }}
{% set columns = 'condition_id, matched_at' %}
{% set gone = [] if is_full() else [(-1, replaced('step_match', columns))] %}
{% set signed %}(
    {%- for sign, rows in [(1, computed('step_match'))] + gone %}
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
