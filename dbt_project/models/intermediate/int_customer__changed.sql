-- From when to when this run knows something else of a customer: for the time of each new line of the source customers,
-- and of each that is taken away. One row per customer and time; times of a customer do not overlap.
with changed as (
    select
        c.customer_key,
        c.valid_from,
        c.valid_to
    from {{ computed('customer') }} as c
    where
        {{ 'false' if is_full() else is_new('c.row_id') }}
        {%- if not is_full() %}
        -- said again, it is nothing new
        and not exists (
            select from {{ published('customer') }} as m
            where
                m.customer_key = c.customer_key
                and m.valid_from = c.valid_from
                and m.valid_to = c.valid_to
                and (m.birth_year, m.gender, m.region, m.grade, m.investment_propensity, m.joined_on, m.attributes)
                is not distinct from
                (c.birth_year, c.gender, c.region, c.grade, c.investment_propensity, c.joined_on, c.attributes)
        )
        {%- endif %}
    {%- if has_gone() and not is_full() %}
    union all
    select
        m.customer_key,
        m.valid_from,
        m.valid_to
    from {{ published('customer') }} as m
    where {{ is_gone('m.row_id') }}
    {%- endif %}
)

select
    customer_key,
    {{ midnight('lower(span)') }} as from_at,
    {{ midnight('upper(span)') }} as to_at
from (
    select
        customer_key,
        unnest(range_agg(daterange(valid_from, greatest(valid_from, valid_to)))) as span
    from changed
    group by customer_key
) as spans
