{{ config(key=['funnel_id', 'entry_date', 'touch', 'inflow_channel'], keep='b.entered > 0') }}
{% set columns = 'funnel_id, entry_date, first_channel, last_channel, is_converted' %}
{% set gone = [] if is_full() else [(-1, replaced('funnel_touch', columns))] %}
{% set signed %}(
    {%- for sign, rows in [(1, computed('funnel_touch'))] + gone %}
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
{% set key = ['funnel_id', 'entry_date', 'touch', 'inflow_channel'] %}
{{ counted('channel_conversion', key, ['entered', 'converted'], signed) }}
