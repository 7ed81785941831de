{{ config(key=['path_month', 'channel', 'step_no', 'from_node', 'to_node'], keep='b.sessions > 0') }}
{% set columns = 'session_date, channel, step_no, from_node, to_node, sessions' %}
{% set signed %}(
    {%- for sign, rows in signed_rows('path_edge', columns) %}
    select
        date_trunc('month', e.session_date)::date as path_month,
        e.channel,
        e.step_no,
        e.from_node,
        e.to_node,
        {{ sign }} * e.sessions as sessions
    from {{ rows }} as e
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
){% endset %}
-- depends_on: {{ ref('path_edge') }}
{{ counted('path_month', ['path_month', 'channel', 'step_no', 'from_node', 'to_node'], ['sessions'], signed) }}
-- a month's steps lie together: what reads some of them reads few pages
order by path_month, channel, step_no
