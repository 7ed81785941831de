{# A table that lives for one run, unlogged, with statistics: without them the planner hashes whole marts. One statement
   where dbt's own materialization needs ten, because nobody reads the old one meanwhile; half of a small run was that.

   indexes   lists of columns #}
{% materialization work_table, adapter='postgres' %}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        create unlogged table {{ this }} as {{ sql }};
        {%- for index in config.get('indexes', []) %}
        create index on {{ this }} ({{ index | join(', ') }});
        {%- endfor %}
        {{ statistics_of(this) }}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': []}) }}
{% endmaterialization %}

{# What the planner is told of a table. Of one that lives for a run of changes less will do than of one that stays: to sample
   a tenth of the rows, and no lists, saves such a run a twelfth of its cost. #}
{% macro statistics_of(relation, columns=[]) -%}
    {%- set plain = [] -%}
    {%- for column in columns if not is_full() and not column.data_type.endswith('[]') -%}
        {%- do plain.append(column.name) -%}
    {%- endfor -%}
    {{ 'set local default_statistics_target = 30;' if not is_full() }}
    analyze {{ relation }}{{ ' (' ~ plain | join(', ') ~ ')' if plain }};
{%- endmacro %}
