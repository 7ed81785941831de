{# The applied segments: `rows` (segment_id, version, expression) and their `leaves`, each once. The SQL in them comes
   from plugins/journeymart/definitions/segments.py. #}
{% macro segments() %}
    {%- set result = {'rows': [], 'leaves': []} -%}
    {%- if execute -%}
        {%- set found = run_query(
            "select definition_id, version, content ->> 'expression', content ->> 'leaves' from config.definition"
            " where kind = 'segments' and retired_at is null order by definition_id"
        ) -%}
        {%- set seen = {} -%}
        {%- for row in found.rows -%}
            {%- do result.rows.append(row) -%}
            {%- for leaf in fromjson(row[3]) if leaf.leaf_id not in seen -%}
                {%- do seen.update({leaf.leaf_id: true}) -%}
                {%- do result.leaves.append(leaf) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(result) }}
{% endmacro %}
