{{ config(
    key=['row_id'],
    replaces="exists (
        select from build.consent as b where (b.customer_key, b.purpose) = (m.customer_key, m.purpose)
    )",
    indexes=[['customer_key', 'purpose', 'valid_from'], ['valid_to']],
    refers={'customer_key': 'customer.customer_key'},
) }}
-- Of what is given and withdrawn at one moment, the withdrawal holds.
select
    s.row_id,
    s.customer_key,
    s.purpose,
    s.is_granted,
    s.effective_at as valid_from,
    lead(s.effective_at, 1, timestamptz '9999-12-31 00:00:00+00') over (
        partition by s.customer_key, s.purpose order by s.effective_at asc, s.is_granted desc, s.row_id asc
    ) as valid_to
from {{ landed('consents') if is_full() else source('raw', 'consents') }} as s
where
    not exists (select from {{ ref('line_duplicate') }} as d where d.row_id = s.row_id)
    {%- if not is_full() %}
    and (s.customer_key, s.purpose) in (
        select
            n.customer_key,
            n.purpose
        from {{ new_lines('consents') }} as n
        {%- if has_gone() %}
        union all
        select
            g.customer_key,
            g.purpose
        from {{ gone_lines('consents') }} as g
        {%- endif %}
    )
    and {{ is_visible('s.row_id') }}
    {%- endif %}
