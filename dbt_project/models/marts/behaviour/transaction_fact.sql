{{ config(
    key=['row_id'],
    replaces=[
        "exists (select from build.transaction_fact as b where b.row_id = m.row_id)",
        "exists (select from build.line_duplicate as d where d.row_id = m.row_id)",
    ],
    indexes=[['customer_key', 'transacted_at'], ['session_visitor_key', 'started_at']],
    refers={'customer_key': 'customer.customer_key', 'node_id': 'node.node_id'},
) }}
{% set policy = session_policy() %}
with decided as (
    select
        t.*,
        coalesce(t.channel, 'web') in ('{{ policy.get('transaction_channels', []) | join("', '") }}') as is_digital
    from {{ ref('int_run__transaction') }} as r
    inner join {{ source('raw', 'transactions') }} as t on r.row_id = t.row_id
),

owner as (
    select distinct on (row_id) *
    from (
        select
            d.row_id,
            s.visitor_key,
            s.started_at
        from decided as d
        inner join {{ ref('int_session__aggregated') }} as s on d.visitor_key = s.visitor_key
        where
            d.is_digital
            -- on a device that several use: what one customer does is not told of another
            and (s.customer_key is null or s.customer_key = d.customer_key)
            and d.transacted_at between s.started_at
            and s.ended_at + {{ seconds(policy.transaction_tolerance_seconds) }}
        union all
        select
            d.row_id,
            s.visitor_key,
            s.started_at
        from decided as d
        inner join {{ ref('int_session__aggregated') }} as s on d.customer_key = s.customer_key
        where
            d.visitor_key is null
            and s.identity_rule = 'login'
            and d.is_digital
            and d.transacted_at between s.started_at
            and s.ended_at + {{ seconds(policy.transaction_tolerance_seconds) }}
    ) as candidate
    order by row_id asc, started_at desc, visitor_key asc
),

done as (
    select p.content -> 'codes' as codes
    from {{ source('config', 'definition') }} as p
    where p.kind = 'transactions' and p.definition_id = 'done_results' and p.retired_at is null
)

select
    d.row_id,
    d.transaction_id,
    d.transacted_at,
    d.customer_key,
    d.node_id,
    d.channel,
    d.result_code,
    -- not one whose result is unknown, and none where nobody has said what is done
    coalesce(not jsonb_exists(c.codes, d.result_code), false) as is_failed,
    d.amount,
    d.currency,
    round(d.amount * x.krw_per_unit, 2)::numeric(38, 2) as amount_krw,
    o.visitor_key as session_visitor_key,
    o.started_at
from decided as d
left join owner as o on d.row_id = o.row_id
left join done as c on true
left join lateral (
    select r.krw_per_unit
    from {{ source('config', 'exchange_rate') }} as r
    where
        r.currency = coalesce(d.currency, 'KRW')
        and r.valid_from <= {{ business_date('d.transacted_at') }}
    order by r.valid_from desc
    limit 1
) as x on true
