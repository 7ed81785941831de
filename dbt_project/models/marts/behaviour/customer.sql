{{ config(
    key=['customer_key', 'valid_from'],
    replaces="exists (select from build.customer as b where b.customer_key = m.customer_key)",
) }}
select
    s.row_id,
    s.customer_key,
    c.customer_id,
    coalesce(s.effective_date, date '1800-01-01') as valid_from,
    lead(s.effective_date, 1, date '9999-12-31') over (
        partition by s.customer_key order by s.effective_date nulls first
    ) as valid_to,
    s.birth_year,
    s.gender,
    s.region,
    s.grade,
    s.investment_propensity,
    s.joined_on,
    s.attributes
from {{ landed('customers') if is_full() else source('raw', 'customers') }} as s
inner join {{ source('raw', 'customer') }} as c on s.customer_key = c.customer_key
where
    not exists (select from {{ ref('line_duplicate') }} as d where d.row_id = s.row_id)
    {%- if not is_full() %}
    and s.customer_key in (
        select n.customer_key from {{ new_lines('customers') }} as n
        {%- if has_gone() %}
        union all
        select g.customer_key from {{ gone_lines('customers') }} as g
        {%- endif %}
    )
    and {{ is_visible('s.row_id') }}
    {%- endif %}
