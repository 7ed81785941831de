{# How a mart table is changed (docs/adr/0002-delta.md).
   build.x  the rows this run computed
   mart.x   the published table; changed by publish alone
   next.x   what mart.x will be: its untouched rows and build.x. ref() resolves to it.

   key       columns that identify a row
   replaces  condition on mart rows (alias m) that this run replaces; default: the key is in build.x. Rows of files that
             this run takes away are replaced in any case, by their row_id
   keep      condition on build rows that stay; default: all (counters drop to zero and go)
   indexes   lists of columns #}
{% materialization delta, adapter='postgres' %}
    {%- set next = this.incorporate(type='view') -%}
    {%- set build = 'build.' ~ this.identifier -%}
    {%- set mart = 'mart.' ~ this.identifier -%}
    {%- set full = is_full() -%}
    {%- set columns = model.columns.keys() | join(', ') -%}

    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        {{ assert_contract(sql) }}
        drop view if exists {{ next }} cascade;
        drop table if exists {{ build }} cascade;
        create {{ '' if full else 'unlogged' }} table {{ build }} {{ get_table_columns_and_constraints() }};
        insert into {{ build }} ({{ columns }})
        select {{ columns }} from ({{ sql }}) as computed;
        {% if full -%}
        {%- if config.get('keep') %}
        delete from {{ build }} as b where not ({{ config.get('keep') }});
        {%- endif %}
        {%- for index in config.get('indexes', []) %}
        create index on {{ build }} ({{ index | join(', ') }});
        {%- endfor %}
        create view {{ next }} as select {{ columns }} from {{ build }};
        {%- else %}
        create view {{ next }} as
        select {{ columns }} from {{ mart }} as m where not ({{ delta_replaces(model) }})
        union all
        select {{ columns }} from {{ build }} as b where {{ config.get('keep', 'true') }};
        {%- endif %}
        alter table {{ build }} add primary key ({{ config.require('key') | join(', ') }});
        {%- if not full and config.get('replaces') %}
        {{ assert_grain(build, mart) }}
        {%- endif %}
        analyze {{ build }};
        {{ record_model(delta_replaces(model), config.get('keep', 'true')) }}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': []}) }}
{% endmaterialization %}

{# The query's columns against the contract's. They can only differ after a change of the project, and that makes the
   next run a full one; asking in every run is two queries for each model. #}
{% macro assert_contract(sql) -%}
    {{ get_assert_columns_equivalent(sql) if is_full() }}
{%- endmacro %}

{# No key twice in the coming state. The primary key of build.x covers the rows of this run, that of mart.x the untouched
   ones; here they are compared with each other. Where a model replaces by its key they cannot meet. #}
{% macro assert_grain(build, mart) -%}
    {%- set key = config.get('key') -%}
    do $grain$
    declare
        twice record;
    begin
        select {% for column in key %}b.{{ column }}{{ ', ' if not loop.last }}{% endfor %} into twice
        from {{ build }} as b
        inner join {{ mart }} as m
            on {% for column in key %}m.{{ column }} = b.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
        where {{ config.get('keep', 'true') }} and not ({{ delta_replaces(model) }})
        limit 1;
        if found then
            raise exception 'grain of {{ mart }}: % is computed by this run and among the rows it leaves', twice;
        end if;
    end
    $grain$;
{%- endmacro %}

{# What publish must know of a model, left in the database because publish may run elsewhere. #}
{% macro record_model(replaces=none, keep=none) -%}
    {%- set labels = {} -%}
    {%- for column in model.columns.values() -%}
        {%- do labels.update({column.name: column.config.meta.label.ko ~ ' — ' ~ column.description}) -%}
    {%- endfor %}
    insert into build.model (
        name, kind, published_in, contract_version, columns, replaces, keep, sql, comment, column_comments
    ) values (
        '{{ this.identifier }}',
        '{{ config.get('materialized') }}',
        '{{ config.get('published_in', 'mart') }}',
        {{ config.get('contract_version', 'null') }},
        string_to_array('{{ model.columns.keys() | join(' ') }}', ' '),
        {{ dbt.string_literal(dbt.escape_single_quotes(replaces)) if replaces else 'null' }},
        {{ dbt.string_literal(dbt.escape_single_quotes(keep)) if keep else 'null' }},
        {{ dbt.string_literal(dbt.escape_single_quotes(sql)) if config.get('materialized') == 'mart_view' else 'null' }},
        {{ dbt.string_literal(dbt.escape_single_quotes(model.config.meta.label.ko ~ ' — ' ~ model.description)) }},
        {{ dbt.string_literal(dbt.escape_single_quotes(tojson(labels))) }}::jsonb
    );
{%- endmacro %}

{# The condition by which rows of mart.x (alias m) are replaced; publish uses the same text from the manifest. #}
{% macro delta_replaces(node) -%}
    {%- if node.config.get('replaces') -%}
        ({{ node.config.replaces }})
    {%- else -%}
        exists (
            select from build.{{ node.name }} as b
            where {% for column in node.config.key %}b.{{ column }} = m.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
        )
    {%- endif -%}
    {%- if 'row_id' in node.columns and has_gone() %}
        or {{ is_gone('m.row_id') }}
        or exists (select from build.run_line as l where l.row_id = m.row_id)
    {%- endif -%}
{%- endmacro %}

{# A name others rely on: a view over narrow facts. next.x shows the coming state; publish makes mart.x of the same SQL,
   or export.x where published_in says so. With a contract_version there is export.x_v1 as well: a change that takes a column
   away or gives it another meaning is the next version, and the view of the one before stays as a model of its own. #}
{% materialization mart_view, adapter='postgres' %}
    {%- set next = this.incorporate(type='view') -%}
    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        {{ assert_contract(sql) }}
        drop view if exists {{ next }} cascade;
        create view {{ next }} as {{ sql }};
        {{ record_model() }}
    {%- endcall %}
    {{ run_hooks(post_hooks) }}
    {{ adapter.commit() }}
    {{ return({'relations': []}) }}
{% endmaterialization %}

{# New totals of a counter table: what mart holds plus this run's signed change.
   changes: a relation or subquery with the key columns and one signed column per counter.
   decimals: counters that are amounts, not counts. #}
{% macro counted(name, key, counters, changes, decimals=[]) -%}
    {%- set full = is_full() -%}
    select
        {%- for column in key %}
        c.{{ column }},
        {%- endfor %}
        {%- for counter in counters %}
        (c.{{ counter }}{{ '' if full else ' + coalesce(m.' ~ counter ~ ', 0)' }})
            {{- '::numeric(20, 2)' if counter in decimals else '::bigint' }} as {{ counter }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            {{ key | join(', ') }},
            {%- for counter in counters %}
            sum({{ counter }}) as {{ counter }}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ changes }} as signed
        group by {{ key | join(', ') }}
    ) as c
    {%- if not full %}
    left join mart.{{ name }} as m
        on {% for column in key %}m.{{ column }} = c.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
    {%- endif %}
{%- endmacro %}

{# Published rows of a delta model that this run replaces, as a subquery. #}
{% macro replaced(name, columns) -%}
    {%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ name] if execute -%}
    (select {{ columns }} from mart.{{ name }} as m where {{ delta_replaces(node) if execute else 'true' }})
{%- endmacro %}
