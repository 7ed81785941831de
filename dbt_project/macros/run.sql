{# What was decided before dbt starts (transform/build.py): read once for the whole run, not once for every model that asks.
   `unknown` stands for it while the project is parsed. #}
{% macro run_fact(name, unknown) %}
    {{ return(var('run')[name] if execute else unknown) }}
{% endmacro %}

{# True when this run computes everything from raw; false when it computes what new files touch. #}
{% macro is_full() %}
    {{ return(run_fact('is_full', true)) }}
{% endmacro %}

{# The applied policy of definitions/sessions.yml: seconds, time zone and switches. #}
{% macro session_policy() %}
    {{ return(run_fact('sessions', {})) }}
{% endmacro %}

{# Whether this run takes something away: files that others have corrected (supersedes in their .done), or lines of erased
   customers; rare, so models carry the conditions for it only then. #}
{% macro has_gone() %}
    {{ return(run_fact('has_gone', false)) }}
{% endmacro %}

{# Whether a row of raw or mart is one that this run takes away. #}
{% macro is_gone(row_id) -%}
    (
        exists (select from build.run_gone as g where g.file_id = ({{ row_id }} >> 32)::integer)
        or exists (select from build.run_erased as g where g.erased_row = {{ row_id }})
    )
{%- endmacro %}

{# A raw table as it will be: without what this run takes away. #}
{% macro landed(table) -%}
    {%- set relation = source('raw', table) -%}
    {%- if has_gone() -%}
    (select * from {{ relation }} as r where not {{ is_gone('r.row_id') }})
    {%- else -%}
    {{ relation }}
    {%- endif -%}
{%- endmacro %}

{# The rows of a raw table that this run takes away. #}
{% macro gone_lines(table) -%}
    (
        select r.*
        from build.run_gone as f
        inner join {{ source('raw', table) }} as r
            on r.row_id between f.file_id::bigint << 32 and (f.file_id::bigint << 32) + 4294967295
        union all
        select r.*
        from build.run_erased as l
        inner join {{ source('raw', table) }} as r on l.erased_row = r.row_id
    )
{%- endmacro %}

{# The rows of a raw table that are new in this run: all of them in a full build. Written as a join from the files to
   their range of row_id, because that is one index range per file, whatever is in raw already. Single lines, replayed
   from quarantine or no longer the repetition of another, are looked up one by one. #}
{% macro new_lines(table) -%}
    {%- set relation = source('raw', table) -%}
    {%- set new_events = ref('int_run__event') if table == 'event' -%}
    {%- if is_full() -%}
    {{ landed(table) }}
    {%- elif table == 'event' -%}
    {{ new_events }}
    {%- else -%}
    (
        select r.*
        from build.run_file as f
        inner join {{ relation }} as r
            on r.row_id between f.file_id::bigint << 32 and (f.file_id::bigint << 32) + 4294967295
        {{ 'where not ' ~ is_gone('r.row_id') if has_gone() }}
        union all
        select r.*
        from build.run_line as l
        inner join {{ relation }} as r on l.row_id = r.row_id
        where l.is_single {{ 'and not ' ~ is_gone('r.row_id') if has_gone() }}
    )
    {%- endif -%}
{%- endmacro %}

{# Whether a row of raw is new in this run. #}
{% macro is_new(row_id) -%}
    (
        exists (select from build.run_file as f where f.file_id = ({{ row_id }} >> 32)::integer)
        or exists (select from build.run_line as l where l.row_id = {{ row_id }})
    )
{%- endmacro %}

{# Rows of raw that a run may see: its own files and those already published, not what landed meanwhile. #}
{% macro is_visible(row_id) -%}
    exists (
        select from {{ source('raw', 'file') }} as f
        where
            f.file_id = ({{ row_id }} >> 32)::integer
            and (
                f.publication_id is not null
                or exists (select from build.run_file as n where n.file_id = f.file_id)
            )
    )
    {{ 'and not ' ~ is_gone(row_id) if has_gone() }}
{%- endmacro %}

{# A calendar date in the business time zone. #}
{% macro business_date(expression) -%}
    ({{ expression }} at time zone '{{ session_policy().time_zone }}')::date
{%- endmacro %}

{# The beginning of a calendar date in the business time zone. #}
{% macro midnight(expression) -%}
    ({{ expression }}::timestamp at time zone '{{ session_policy().time_zone }}')
{%- endmacro %}

{# The latest moment that anything is known of: what may still happen before it cannot happen any more. #}
{% macro watermark() -%}
    (select r.watermark_at from build.run_scope as r)
{%- endmacro %}

{# When consent has to hold: it is given and ends by the clock, be the data older. #}
{% macro consent_moment() -%}
    greatest({{ watermark() }}, now())
{%- endmacro %}

{# Whether a customer consents to a purpose now. #}
{% macro consents(customer_key, purpose) -%}
    exists (
        select from {{ ref('consent') }} as c
        where
            c.customer_key = {{ customer_key }}
            and c.purpose = {{ purpose }}
            and c.is_granted
            and c.valid_from <= {{ consent_moment() }}
            and c.valid_to > {{ consent_moment() }}
    )
{%- endmacro %}

{# An interval literal; none means without end. #}
{% macro seconds(value) -%}
    {{ "interval '1000 years'" if value is none else "interval '" ~ value ~ " seconds'" }}
{%- endmacro %}

{# Rows of a relation that belong to those before it. In a run of changes each of these looks up its own, by an index of
   mart.x and one of build.x; a plain join cannot, because next.x is a union, and would read the whole mart. `offset 0`
   keeps Postgres from making a plain join of it. In a full build the plain join is the faster one. #}
{% macro look_up(relation, alias, condition) -%}
    {%- if is_full() -%}
    inner join {{ relation }} as {{ alias }} on {{ condition }}
    {%- else -%}
    cross join lateral (select * from {{ relation }} as {{ alias }} where {{ condition }} offset 0) as {{ alias }}
    {%- endif -%}
{%- endmacro %}

{# The first value of a column among the rows of a delta model that belong to something (`condition`, on alias m). In a run
   of changes by the indexes of mart.x and build.x: of the union next.x, min() would read all that belong. #}
{% macro first_of(name, column, condition) -%}
    {%- set relation = ref(name) -%}
    {%- if is_full() -%}
    (select min(m.{{ column }}) from {{ relation }} as m where {{ condition }})
    {%- else -%}
    {%- set node = graph.nodes.get('model.' ~ project_name ~ '.' ~ name) if execute -%}
    least(
        (
            select m.{{ column }} from {{ published(name) }} as m
            where {{ condition }} and not ({{ delta_replaces(node) if node }})
            order by m.{{ column }}
            limit 1
        ),
        (
            select m.{{ column }} from {{ computed(name) }} as m
            where {{ condition }}
            order by m.{{ column }}
            limit 1
        )
    )
    {%- endif -%}
{%- endmacro %}

{# What this run computed of a delta model, without the untouched rest that ref() adds in runs of changes. #}
{% macro computed(name) -%}
    {%- set relation = ref(name) -%}
    {{ relation if is_full() else 'build.' ~ name }}
{%- endmacro %}

{# The published state of a delta model; only in branches for runs of changes. #}
{% macro published(name) -%}
    mart.{{ name }}
{%- endmacro %}

{# Whether mart has the table already, so that what was said before can be looked up even in a full build. #}
{% macro is_published(name) %}
    {%- if not execute -%}{{ return(false) }}{%- endif -%}
    {{ return(run_query("select to_regclass('mart." ~ name ~ "') is not null").columns[0].values()[0]) }}
{% endmacro %}

{# Every session that appears (+1) or disappears (-1) in this run; counters move by these signs. No model: of an ephemeral one
   dbt takes the SQL of all that read it apart, which costs a run more than ten models do. #}
{% macro changed_sessions() -%}
    {%- set touched = ref('int_session__touched') -%}
    (
        select
            s.*,
            a.channel,
            coalesce(a.domain, '(none)') as domain,
            coalesce(a.device_type, '(none)') as device_type
        from (
            select
                1 as sign,
                n.*
            from {{ computed('session_fact') }} as n
            {%- if not is_full() %}
            union all
            select
                -1 as sign,
                m.*
            from {{ touched }} as t
            inner join {{ published('session_fact') }} as m
                on t.visitor_key = m.visitor_key and t.started_at = m.started_at
            {%- endif %}
        ) as s
        inner join {{ source('raw', 'agent') }} as a on s.agent_key = a.agent_key
    )
{%- endmacro %}

{# Whether what is published does not follow this version of an applied definition yet. #}
{% macro is_new_definition(kind='d.kind', definition_id='d.definition_id', version='d.version') -%}
    {%- if is_full() -%}
    true
    {%- else -%}
    not exists (
        select from {{ published('definition') }} as p
        where p.kind = {{ kind }} and p.definition_id = {{ definition_id }} and p.version = {{ version }}
    )
    {%- endif -%}
{%- endmacro %}

{# Whether a row of mart.x (alias m) follows a version of a definition that is no longer applied. Written from the few
   definitions that are published, so that rows are looked up by those that have gone instead of being asked one by one. #}
{% macro is_of_retired(kind, definition_id) -%}
    m.{{ definition_id }} in (
        select p.definition_id
        from mart.definition as p
        where
            p.kind = '{{ kind }}'
            and not exists (
                select from config.definition as d
                where
                    d.kind = p.kind and d.definition_id = p.definition_id and d.version = p.version
                    and d.retired_at is null
            )
    )
{%- endmacro %}

{# Whether a session of an agent is one that the filters of a cell leave: channel, domain and device_type of a row l of
   int_segment__leaf. #}
{% macro is_of_agents(agent_key) -%}
    (
        not l.is_of_agents
        or exists (
            select from {{ source('raw', 'agent') }} as a
            where
                a.agent_key = {{ agent_key }}
                and (l.channel is null or a.channel = l.channel)
                and (l.domain is null or a.domain = l.domain)
                and (l.device_type is null or a.device_type = l.device_type)
        )
    )
{%- endmacro %}
