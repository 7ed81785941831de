{# The compiled conditions of a source. The SQL comes from plugins/journeymart/definitions/conditions.py.
   which: 'known' have been evaluated for the published mart, 'new' have not, 'customer' are those of the known ones
   that depend on what is known of the customer. Where everything is computed anew, all are known. #}
{% macro conditions(source, which='known') %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- if is_full() and which != 'known' -%}{{ return([]) }}{%- endif -%}
    {%- set evaluated -%}
        exists (
            select from mart.step_condition as m where m.condition_id = c.condition_id and m.source = c.source
        )
    {%- endset -%}
    {%- set wanted = {
        'known': 'true' if is_full() else evaluated,
        'new': 'not ' ~ evaluated,
        'customer': evaluated ~ ' and c.uses_customer',
    } -%}
    {%- set found = run_query(
        "select c.condition_id, c.predicate, c.hold_value, c.breakdown_value, c.uses_session, c.is_of_node"
        " from config.condition as c"
        " where c.source = '" ~ source ~ "' and " ~ wanted[which] ~ " order by c.condition_id"
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
    where ({% for condition in found %}{{ condition[1] }}{{ ' or ' if not loop.last }}{% endfor %})
{%- endmacro %}

{# What a condition keeps of the rows it matches: column 2 or 3 of conditions(). #}
{% macro kept(found, column) -%}
    {%- set keeping = [] -%}
    {%- for condition in found if condition[column] -%}{%- do keeping.append(condition) -%}{%- endfor -%}
    {%- if not keeping -%}
    null::text
    {%- else -%}
    case c.condition_id
        {%- for condition in keeping %}
        when '{{ condition[0] }}' then {{ condition[column] }}
        {%- endfor %}
    end
    {%- endif -%}
{%- endmacro %}

{# The matches of conditions that the page and the kind of action decide: a join with those that fulfil them, so that the
   number of conditions costs nothing. offset 0: nothing is looked up for events that fulfil none. #}
{% macro node_matches(rows) -%}
    select
        e.condition_id,
        e.row_id,
        e.event_at as matched_at,
        0::smallint as source_rank,
        coalesce(s.customer_key, e.customer_key, -e.visitor_key) as person_key,
        e.visitor_key,
        e.started_at,
        null::text as hold_value,
        null::text as breakdown_value
    from (
        select
            o.*,
            k.condition_id
        from {{ computed('session_event') if rows == 'computed' else ref('session_event') }} as o
        inner join {{ ref('int_step__node') }} as k on o.node_id = k.node_id and o.action_id = k.action_id
        where {{ 'not ' if rows == 'computed' }}k.is_new
        offset 0
    ) as e
    inner join {{ computed('session_fact') if rows == 'computed' else ref('session_fact') }} as s
        on e.visitor_key = s.visitor_key and e.started_at = s.started_at
{%- endmacro %}

{# The matches of one source. rows: 'computed' by this run, 'all', or those of 'customer's of whom more is known now.
   The aliases are those of definitions/fields.py. #}
{% macro step_matches(of, rows, found) -%}
    {%- set relation = computed(of.model) if rows == 'computed' else ref(of.model) -%}
    {%- set is_screen = of.name == 'screen' -%}
    {%- set alias = 'e' if is_screen else 'f' -%}
    {%- set needs_session = found | selectattr(4) | list | length > 0 -%}
    {%- set person = {
        'screen': 'coalesce(s.customer_key, e.customer_key, -e.visitor_key)',
        'survey': 'coalesce(f.customer_key, -f.visitor_key)',
    }.get(of.name, 'f.customer_key') -%}
    {%- set visitor = {
        'screen': 'e.visitor_key', 'transaction': 'f.session_visitor_key', 'survey': 'f.visitor_key'
    }.get(of.name, 'null::integer') -%}
    select
        c.condition_id,
        {{ alias }}.row_id,
        {{ alias }}.{{ of.at }} as matched_at,
        {{ of.rank }}::smallint as source_rank,
        {{ person }} as person_key,
        {{ visitor }} as visitor_key,
        {{ alias ~ '.started_at' if of.name in ['screen', 'transaction'] else 'null::timestamptz as started_at' }},
        {{ kept(found, 2) }} as hold_value,
        left({{ kept(found, 3) }}, 256) as breakdown_value  -- part of a key, and an index takes no more
    from {{ relation }} as {{ alias }}
    cross join (select '{{ session_policy().time_zone }}' as time_zone) as z
    {%- if is_screen %}
    inner join {{ computed('session_fact') if rows == 'computed' else ref('session_fact') }} as s
        on e.visitor_key = s.visitor_key and e.started_at = s.started_at
    inner join {{ source('raw', 'node') }} as n on e.node_id = n.node_id
    inner join {{ source('raw', 'agent') }} as a on e.agent_key = a.agent_key
    inner join {{ source('raw', 'action') }} as t on e.action_id = t.action_id
    left join {{ source('raw', 'inflow') }} as i on e.inflow_key = i.inflow_key
    left join {{ source('raw', 'error') }} as r on e.error_key = r.error_key
    {%- endif %}
    {%- if of.name == 'transaction' %}
    inner join {{ source('raw', 'node') }} as n on f.node_id = n.node_id
    {%- if needs_session %}
    left join {{ ref('session_fact') }} as s on f.session_visitor_key = s.visitor_key and f.started_at = s.started_at
    {%- endif %}
    {%- endif %}
    {%- if rows == 'customer' %}
    inner join {{ ref('int_customer__changed') }} as h
        on
            {{ 'coalesce(s.customer_key, e.customer_key)' if is_screen else 'f.customer_key' }} = h.customer_key
            and {{ alias }}.{{ of.at }} >= h.from_at
            and {{ alias }}.{{ of.at }} < h.to_at
    {%- endif %}
    left join {{ source('raw', of.raw) }} as d on {{ alias }}.row_id = d.row_id
    {{ matched(found) }}
    {%- if rows == 'customer' and is_screen %}
        and s.ended_at >= (select min(b.from_at) from {{ ref('int_customer__changed') }} as b)
    {%- endif %}
    {%- if of.name == 'survey' %}
        and coalesce(f.customer_key, f.visitor_key) is not null
    {%- endif %}
{%- endmacro %}

{# Which rules or funnels, of about the same reach, share stretches. longest: interval, null without end. #}
{% macro pace_of(longest) -%}
    {{ longest }} is null, ceil(log(greatest(extract(epoch from {{ longest }}), 1)))
{%- endmacro %}

{# Who does m and about when, as one value, for the pace k; beside: so many moments later. Two that share a value are taken
   for the same, which only leaves more to look at. One, because the planner would look people up one by one. #}
{% macro surroundings(beside) -%}
    coalesce(date_bin(k.moment, m.matched_at + {{ beside }} * k.moment, 'epoch'), 'epoch')
    + (m.person_key + (k.pace_no << 32)) * interval '1 microsecond'
{%- endmacro %}

{# What people do, parted where more time passes than anything of that pace spans: what is in one stretch has nothing to do
   with what is in another. From a query `counted` (pace_no, longest, condition_no and columns of step_match):
   stretched, the same with stretch_no, and held, one row for each condition of a stretch. #}
{% macro stretches() -%}
parted as (
    select
        *,
        lag(matched_at) over (partition by history_no order by matched_at) as last_at
    from (
        select
            *,
            pace_no << 32 | (person_key::bigint & 4294967295) as history_no  -- one number to sort by
        from counted
    ) as c
),

stretched as materialized (
    select
        *,
        count(*) filter (where last_at is null or matched_at - last_at > longest) over (
            order by history_no, matched_at rows unbounded preceding
        ) as stretch_no
    from parted
),

held as materialized (
    select
        stretch_no,
        condition_no,
        min(matched_at) as first_at,
        max(matched_at) as last_at,
        count(*) as times
    from stretched
    group by stretch_no, condition_no
)
{%- endmacro %}
