{% set key = ['funnel_id', 'entry_date', 'touch', 'inflow_channel'] %}
{{ config(key=key, keep='b.entered > 0') }}
{% set columns = 'funnel_id, entry_date, first_channel, last_channel, is_converted' %}
{% set signed %}(
    {%- for sign, rows in signed_rows('funnel_touch', columns) %}
    select
        f.funnel_id,
        f.entry_date,
        t.touch,
        t.inflow_channel,
        {{ sign }} * count(*) as entered,
        {{ sign }} * count(*) filter (where f.is_converted) as converted
    from {{ rows }} as f
    cross join lateral (values ('first', f.first_channel), ('last', f.last_channel)) as t (touch, inflow_channel)
    group by 1, 2, 3, 4
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
){% endset %}
{{ counted('channel_conversion', key, ['entered', 'converted'], signed) }}
