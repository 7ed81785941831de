{% if period.from_expr or period.to_expr -%}
{% if period.from_expr %}to_char({{ period.from_expr }}::date, 'YYYY-MM-DD') || {% endif %}' : '
{%- if period.to_expr %} || to_char({{ period.to_expr }}::date, 'YYYY-MM-DD'){% endif %}
{%- else -%}
null::text
{%- endif %}
