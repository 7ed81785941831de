{# No key twice in the coming state. The primary key of build.x covers the rows of this run, that of mart.x the
   untouched ones; here they are compared with each other. A full build has no untouched rows. #}
{% test grain(model) %}
{%- set node = graph.nodes['model.' ~ project_name ~ '.' ~ model.identifier] if execute -%}
select b.*
from build.{{ model.identifier }} as b
{%- if execute and is_full() %}
where false
{%- elif execute %}
inner join mart.{{ model.identifier }} as m
    on {% for column in node.config.get('key') %}m.{{ column }} = b.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
where
    {{ node.config.get('keep') or 'true' }}
    and not ({{ delta_replaces(node) }})
{%- endif %}
{% endtest %}
