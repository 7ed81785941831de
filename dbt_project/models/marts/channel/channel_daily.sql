{{ config(key=['session_date', 'inflow_channel', 'channel'], keep='b.sessions > 0') }}
{% set counters = [
    'sessions', 'pages', 'bounces', 'error_sessions', 'converted_sessions', 'transactions', 'amount_krw',
] %}
{% set signed %}(
    select
        s.session_date,
        coalesce(i.inflow_channel, 'direct') as inflow_channel,
        s.channel,
        s.sign as sessions,
        s.sign * s.pages as pages,
        s.sign * (s.events = 1)::integer as bounces,
        s.sign * (s.errors > 0)::integer as error_sessions,
        s.sign * (s.transactions > s.failed_transactions)::integer as converted_sessions,
        s.sign * s.transactions as transactions,
        s.sign * s.amount_krw as amount_krw
    from {{ changed_sessions() }} as s
    left join {{ ref('inflow') }} as i on s.inflow_key = i.inflow_key
){% endset %}
{{ counted('channel_daily', ['session_date', 'inflow_channel', 'channel'], counters, signed, decimals=['amount_krw']) }}
