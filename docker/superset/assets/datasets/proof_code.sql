{% set shown = filter_values('figure', remove_filter=True) -%}
select
    null::text as figure,
    item.file,
    item.sha256
from jsonb_to_recordset(convert_from(decode({{ [code] | where_in }}, 'base64'), 'utf8')::jsonb) as item (file text, sha256 text, origins jsonb)
where {% include '_origin.sql' %}
