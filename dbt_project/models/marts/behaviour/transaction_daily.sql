{% set key = ['transaction_date', 'node_id', 'channel'] %}
{{ config(key=key, keep='b.transactions > 0') }}
{% set signed %}(
    {%- set columns = 'transacted_at, node_id, channel, is_failed, amount, amount_krw' %}
    {%- for sign, rows in signed_rows('transaction_fact', columns) %}
    select
        {{ business_date('transacted_at') }} as transaction_date,
        node_id,
        coalesce(channel, '(none)') as channel,
        {{ sign }} * count(*) as transactions,
        {{ sign }} * count(*) filter (where is_failed) as failed,
        {{ sign }} * coalesce(sum(amount_krw) filter (where not is_failed), 0) as amount_krw,
        {{ sign }} * count(*) filter (where not is_failed and amount is not null and amount_krw is null) as unconverted
    from {{ rows }} as rows
    group by 1, 2, 3
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
){% endset %}
{% set counters = ['transactions', 'failed', 'amount_krw', 'unconverted'] %}
{{ counted('transaction_daily', key, counters, signed, decimals=['amount_krw']) }}
