{# How a mart table is changed (docs/adr/0002-delta.md).
   build.x  the rows this run computed
   mart.x   the published table; changed by publish alone
   next.x   what mart.x will be: its untouched rows and build.x. ref() resolves to it.
   build.x_before   the rows of mart.x that this run replaces; none in a full build

   key       columns that identify a row
   replaces  condition on mart rows (alias m) that this run replaces, or a list of such conditions, any of which will do;
             default: the key is in build.x. Rows of files that this run takes away are replaced in any case, by their
             row_id. Several are looked for one by one, each by its index, and their keys kept in build.x_replaced: joined
             by `or` they could only be found by reading the whole mart, again in every model that asks
   keep      condition on build rows that stay; default: all (counters drop to zero and go)
   indexes   lists of columns
   refers    what columns refer to: {column: 'dictionary.column'} of raw #}
{% materialization delta, adapter='postgres' %}
    {%- set next = this.incorporate(type='view') -%}
    {%- set build = 'build.' ~ this.identifier -%}
    {%- set mart = 'mart.' ~ this.identifier -%}
    {%- set full = is_full() -%}
    {%- set columns = model.columns.keys() | join(', ') -%}
    {%- set conditions = replaced_when(model) -%}

    {{ run_hooks(pre_hooks) }}
    {% call statement('main') -%}
        {{ assert_contract(sql) }}
        drop view if exists {{ next }} cascade;  -- of a full build it shows what is in mart since
        create {{ '' if full else 'unlogged' }} table {{ build }} {{ get_table_columns_and_constraints() }};
        insert into {{ build }} ({{ columns }})
        select {{ columns }} from ({{ sql }}) as computed;
        {% if full and config.get('keep') -%}
        delete from {{ build }} as b where not ({{ config.get('keep') }});
        {%- endif %}
        {%- for index in config.get('indexes', []) %}
        create index on {{ build }} ({{ index | join(', ') }});
        {%- endfor %}
        {% if full -%}
        create view {{ next }} as select {{ columns }} from {{ build }};
        create view {{ build }}_before as select {{ columns }} from {{ build }} where false;
        {%- else %}
        {%- if conditions | length > 1 %}
        {%- set key = config.require('key') | join(', ') %}
        create unlogged table {{ build }}_replaced as
        {%- for condition in conditions %}
        select {{ key }} from {{ mart }} as m where {{ condition }}
        {{- ' union' if not loop.last }}
        {%- endfor %};
        alter table {{ build }}_replaced add primary key ({{ key }});
        {{ statistics_of(build ~ '_replaced') }}
        {%- endif %}
        create view {{ next }} as
        select {{ columns }} from {{ mart }} as m where not ({{ delta_replaces(model) }})
        union all
        select {{ columns }} from {{ build }} as b where {{ config.get('keep', 'true') }};
        create view {{ build }}_before as select {{ columns }} from {{ mart }} as m where {{ delta_replaces(model) }};
        {%- endif %}
        alter table {{ build }} add primary key ({{ config.require('key') | join(', ') }});
        {{ statistics_of(build, model.columns.values()) }}
        {{ assert_references(build) }}
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

{# Every key that this run computed is found where it refers to; joins then lose nothing. Asked here, because a test for
   each column would take dbt longer than the rest of a small run. #}
{% macro assert_references(build) -%}
    {%- if config.get('refers') -%}
    do $refers$
    declare
        lost text;
    begin
        {%- for column, target in config.get('refers').items() %}
        {%- set dictionary, key = target.split('.') %}
        select b.{{ column }} into lost
        from {{ build }} as b
        where
            b.{{ column }} is not null
            and not exists (select from raw.{{ dictionary }} as t where t.{{ key }} = b.{{ column }})
        limit 1;
        if found then
            raise exception '{{ this.identifier }}.{{ column }} % is not in raw.{{ dictionary }}', lost;
        end if;
        {%- endfor %}
    end
    $refers$;
    {%- endif -%}
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

{# The conditions on rows of mart.x (alias m), any of which makes this run replace them. #}
{% macro replaced_when(node) -%}
    {%- set same_key -%}
        exists (
            select from build.{{ node.name }} as b
            where {% for column in node.config.key %}b.{{ column }} = m.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
        )
    {%- endset -%}
    {%- set given = node.config.get('replaces') or same_key -%}
    {%- set gone = [
        is_gone('m.row_id'),
        'exists (select from build.run_line as l where l.row_id = m.row_id)',
    ] if 'row_id' in node.columns and has_gone() else [] -%}
    {{ return(([given] if given is string else given) + gone) }}
{%- endmacro %}

{# The condition by which rows of mart.x (alias m) are replaced, in next.x and when it is published. #}
{% macro delta_replaces(node) -%}
    {%- set conditions = replaced_when(node) -%}
    {%- if conditions | length == 1 -%}
        ({{ conditions[0] }})
    {%- else -%}
        exists (
            select from build.{{ node.name }}_replaced as r
            where {% for column in node.config.key %}r.{{ column }} = m.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
        )
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
            {{- '::numeric(38, 2)' if counter in decimals else '::bigint' }} as {{ counter }}{{ ',' if not loop.last }}
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
    {#- one by one: a plain join reads the whole table whenever the changes look many to the planner #}
    left join lateral (
        select * from mart.{{ name }} as o
        where {% for column in key %}o.{{ column }} = c.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
        offset 0
    ) as m on true
    {%- endif %}
{%- endmacro %}

{# Published rows of a delta model that this run replaces, as a subquery. #}
{% macro replaced(name, columns) -%}
    (select {{ columns }} from build.{{ name }}_before)
{%- endmacro %}

{# The rows of a delta model that this run adds and takes away, each time with the sign that they count with. #}
{% macro signed_rows(name, columns) -%}
    {{ return([(1, computed(name))] + ([] if is_full() else [(-1, replaced(name, columns))])) }}
{%- endmacro %}

{# Times in ascending order, each as often as it is there: in a run of changes those that mart holds (known) with what comes
   and without what is gone; in a full build what comes. #}
{% macro times_left(known, come, gone) -%}
    {%- set together = come if is_full() else known ~ ' || ' ~ come -%}
    {%- set sorted -%}
        array(select t.seconds from unnest({{ together }}) as t (seconds) order by t.seconds)
    {%- endset -%}
    {%- if is_full() -%}
    {{ sorted }}
    {%- else -%}
    case
        when {{ gone }} is null then {{ sorted }}
        else array(
            select t.seconds
            from (
                select unnest({{ together }}) as seconds
                except all
                select unnest({{ gone }}) as seconds
            ) as t
            order by t.seconds
        )
    end
    {%- endif -%}
{%- endmacro %}
