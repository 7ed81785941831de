-- Of a file in which nothing has a time it is not known which dates it is about: it is of all.
{% set shown = filter_values('figure', remove_filter=True) -%}
{% set period = get_time_filter('happened_at', remove_filter=True) -%}
select
    null::text as figure,
    landed.first_event_at as happened_at,
    {% include '_source.sql' %},
    landed.path,
    landed.sha256,
    landed.rows_read,
    landed.rows_mart,
    to_char(landed.first_event_at, 'YYYY-MM-DD HH24:MI') || ' ~ '
    || to_char(landed.last_event_at, 'YYYY-MM-DD HH24:MI') as happened,
    to_char(landed.loaded_at, 'YYYY-MM-DD HH24:MI') as loaded
from mart.landed_file as landed
where
    landed.status = 'loaded'
    {% if period.from_expr %}and coalesce(landed.last_event_at, 'infinity') >= {{ period.from_expr }}{% endif %}
    {% if period.to_expr %}and coalesce(landed.first_event_at, '-infinity') < {{ period.to_expr }}{% endif %}
    and landed.source in (
        select item.source
        from jsonb_to_recordset(convert_from(decode({{ [sources] | where_in }}, 'base64'), 'utf8')::jsonb) as item (source text, origins jsonb)
        where {% include '_origin.sql' %}

    )
