{# The applied rules of definitions/channels.yml, in their order: id and predicate. The SQL comes from
   plugins/journeymart/definitions/channels.py. #}
{% macro channel_rules() %}
    {%- if not execute -%}{{ return([]) }}{%- endif -%}
    {%- set found = run_query(
        "select content ->> 'rules' from config.definition where kind = 'channels' and retired_at is null"
    ) -%}
    {{ return(fromjson(found.columns[0].values()[0])) }}
{% endmacro %}
