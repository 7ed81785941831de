{% set shown = filter_values('figure', remove_filter=True) -%}
select
    null::text as figure,
    item.title,
    item.description,
    item.check_id,
    case
        when found.passed then {{ [holds] | where_in }}
        when not found.passed then {{ [warns] | where_in }}
        else {{ [waits] | where_in }}
    end as outcome,
    case found.severity when 'critical' then {{ [required] | where_in }} else {{ [advised] | where_in }} end as severity,
    found.observed,
    to_char(found.checked_at, 'YYYY-MM-DD HH24:MI') as checked
from jsonb_to_recordset(convert_from(decode({{ [checks] | where_in }}, 'base64'), 'utf8')::jsonb)
    as item (check_id text, title text, description text, origins jsonb)
left join mart.publication_check as found on item.check_id = found.check_id
where {% include '_origin.sql' %}
