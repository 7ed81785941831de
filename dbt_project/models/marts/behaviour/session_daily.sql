{% set key = ['session_date', 'channel', 'domain', 'device_type'] %}
{{ config(key=key, keep='b.sessions > 0') }}
{% set counters = [
    'sessions', 'events', 'pages', 'duration_seconds', 'bounces', 'error_sessions', 'errors',
    'converted_sessions', 'transactions', 'amount_krw',
] %}
{% set signed %}(
    select
        session_date,
        channel,
        domain,
        device_type,
        sign as sessions,
        sign * events as events,
        sign * pages as pages,
        sign * round(extract(epoch from ended_at - started_at)) as duration_seconds,
        sign * (events = 1)::integer as bounces,
        sign * (errors > 0)::integer as error_sessions,
        sign * errors as errors,
        sign * (transactions > failed_transactions)::integer as converted_sessions,
        sign * transactions as transactions,
        sign * amount_krw as amount_krw
    from {{ changed_sessions() }} as changed
){% endset %}
{{ counted('session_daily', key, counters, signed, decimals=['amount_krw']) }}
