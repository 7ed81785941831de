{{ config(key=['file_id'], keep='b.rows_mart + b.rows_duplicate + b.rows_bot > 0') }}
{# Where the accepted lines of each file ended, moved by the lines this run adds and takes away. #}
{% set ends = {
    'session_event': 'rows_mart', 'transaction_fact': 'rows_mart', 'customer': 'rows_mart',
    'consultation': 'rows_mart', 'campaign_send': 'rows_mart',
    'subscription': 'rows_mart', 'survey_response': 'rows_mart', 'consent': 'rows_mart',
    'line_duplicate': 'rows_duplicate', 'line_bot': 'rows_bot',
} %}
{% set signed %}(
    {%- for model, counter in ends.items() %}
    {%- for sign, lines in signed_rows(model, 'row_id') %}
    select
        (row_id >> 32)::integer as file_id,
        {{ sign if counter == 'rows_mart' else 0 }} * count(*) as rows_mart,
        {{ sign if counter == 'rows_duplicate' else 0 }} * count(*) as rows_duplicate,
        {{ sign if counter == 'rows_bot' else 0 }} * count(*) as rows_bot
    from {{ lines }} as lines
    group by 1
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
){% endset %}
{{ counted('file_balance', ['file_id'], ['rows_mart', 'rows_duplicate', 'rows_bot'], signed) }}
