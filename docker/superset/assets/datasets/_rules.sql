-- The rules asked for, by number: what the views count is counted for them alone.
{% set rules = filter_values('rule') -%}
{%- if rules %}
where asked.rule_id = any(array(
    select definition_id
    from mart.definition
    where kind = 'rules' and case {{ [language] | where_in }} when 'ko' then label_ko else label_en end in {{ rules | where_in }}
))
{%- endif %}
