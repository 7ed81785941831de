{# The compiled conditions of a source: [(condition_id, predicate)]. The SQL comes from definitions/conditions.py. #}
{% macro conditions(source) %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set found = run_query(
        "select condition_id, predicate from config.condition where source = '" ~ source ~ "' order by condition_id"
    ) -%}
    {{ return(found.rows) }}
{% endmacro %}

{# One row per condition that a row of the query fulfils, in a single pass. #}
{% macro matched(found) -%}
    cross join lateral unnest(array_remove(array[
        {%- for condition in found %}
        case when {{ condition[1] }} then '{{ condition[0] }}' end{{ ',' if not loop.last }}
        {%- endfor %}
    ], null)) as c (condition_id)
    where {% for condition in found %}{{ condition[1] }}{{ ' or ' if not loop.last }}{% endfor %}
{%- endmacro %}

{# The number of steps of the longest funnel. #}
{% macro longest_funnel() %}
    {%- if not execute -%}{{ return(2) }}{%- endif -%}
    {%- set found = run_query(
        "select coalesce(max(jsonb_array_length(content -> 'steps')), 1) from config.definition"
        " where kind = 'funnels' and retired_at is null"
    ) -%}
    {{ return(found.columns[0].values()[0]) }}
{% endmacro %}
