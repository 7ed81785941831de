-- What is chosen and goes along with a link, so that it leads to the people of the number; the same for every row. Set by
-- whoever includes this: `period` and, where they act, `channels`, `domains`, `devices` and `segments`.
jsonb_build_object(
    'period',
    {% if period.from_expr or period.to_expr -%}
    {% if period.from_expr %}to_char({{ period.from_expr }}::date, 'YYYY-MM-DD') || {% endif %}' : '
    {%- if period.to_expr %} || to_char({{ period.to_expr }}::date, 'YYYY-MM-DD'){% endif %}
    {%- else -%}
    null
    {%- endif %}
    {%- if channels %}, 'channel', jsonb_build_array{{ channels | where_in }}{% endif %}
    {%- if domains %}, 'domain', jsonb_build_array{{ domains | where_in }}{% endif %}
    {%- if devices %}, 'device_type', jsonb_build_array{{ devices | where_in }}{% endif %}
    {%- if segments %}, 'segment', jsonb_build_array{{ segments | where_in }}{% endif %}

)
