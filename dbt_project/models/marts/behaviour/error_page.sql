{{ config(key=['session_date', 'channel', 'error_page', 'error_code'], keep='b.errors > 0') }}
-- Page and code are part of the key, and an index takes no more.
{% set columns = 'visitor_key, started_at, agent_key, node_id, error_key' %}
{% set signed %}(
    select
        {{ business_date('e.started_at') }} as session_date,
        a.channel,
        left(coalesce(r.error_page, n.node), 256) as error_page,
        left(coalesce(r.error_code, '(none)'), 256) as error_code,
        e.sign * count(*) as errors,
        e.sign as sessions
    from (
        select
            1 as sign,
            {{ columns }}
        from {{ computed('session_event') }}
        where error_key is not null
        {%- if not is_full() %}
        union all
        select
            -1 as sign,
            {{ columns }}
        from {{ replaced('session_event', columns) }} as gone
        where error_key is not null
        {%- endif %}
    ) as e
    inner join {{ source('raw', 'agent') }} as a on e.agent_key = a.agent_key
    inner join {{ source('raw', 'node') }} as n on e.node_id = n.node_id
    inner join {{ source('raw', 'error') }} as r on e.error_key = r.error_key
    group by e.sign, e.visitor_key, e.started_at, 1, 2, 3, 4
){% endset %}
{{ counted('error_page', ['session_date', 'channel', 'error_page', 'error_code'], ['errors', 'sessions'], signed) }}
