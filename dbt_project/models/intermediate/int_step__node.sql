-- Which pages and kinds of action fulfil the conditions that say no more than that; is_new: not evaluated for the
-- published mart. A table, because its size decides how matches are best looked for.
{% set parts = [] %}
{% for which in ['known', 'new'] %}
    {% set found = conditions('screen', which) | selectattr(5) | list %}
    {% if found %}
        {% set part %}
select
    n.node_id,
    t.action_id,
    c.condition_id,
    {{ which == 'new' }} as is_new
from {{ source('raw', 'node') }} as n
cross join {{ source('raw', 'action') }} as t
{{ matched(found) }}
        {% endset %}
        {% do parts.append(part) %}
    {% endif %}
{% endfor %}
{% if parts -%}
{{ parts | join('union all') }}
{%- else -%}
select
    n.node_id,
    null::smallint as action_id,
    null::text as condition_id,
    false as is_new
from {{ source('raw', 'node') }} as n
where false
{%- endif %}
