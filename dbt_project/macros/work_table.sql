{# A table that lives for one run, unlogged, with statistics: without them the planner hashes whole marts. One statement
   where dbt's own materialization needs ten, because nobody reads the old one meanwhile; half of a small run was that.

   indexes   lists of columns #}
{% materialization work_table, adapter='postgres' %}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        drop table if exists {{ this }} cascade;
        create unlogged table {{ this }} as {{ sql }};
        {%- for index in config.get('indexes', []) %}
        create index on {{ this }} ({{ index | join(', ') }});
        {%- endfor %}
        analyze {{ this }};
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': []}) }}
{% endmaterialization %}
