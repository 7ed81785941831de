-- What is chosen and goes along with a link, so that it leads to the people of the number; the same for every row. Set by
-- whoever includes this: `period` and, where they act, `segments` and what _filters.sql sets.
jsonb_build_object(
    'period',
    {% if period.from_expr or period.to_expr -%}
    {% if period.from_expr %}to_char({{ period.from_expr }}::date, 'YYYY-MM-DD') || {% endif %}' : '
    {%- if period.to_expr %} || to_char({{ period.to_expr }}::date, 'YYYY-MM-DD'){% endif %}
    {%- else -%}
    null
    {%- endif %}
    {%- if shown_channels %}, 'channel', jsonb_build_array{{ shown_channels | where_in }}{% endif %}
    {%- if domains %}, 'domain', jsonb_build_array{{ domains | where_in }}{% endif %}
    {%- if shown_devices %}, 'device_type', jsonb_build_array{{ shown_devices | where_in }}{% endif %}
    {%- if segments %}, 'segment', jsonb_build_array{{ segments | where_in }}{% endif %}

)
