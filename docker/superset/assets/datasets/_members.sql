-- Customers who belong now to the chosen segments; empty, and of no use, when none is chosen.
{% set segments = filter_values('segment') -%}
with member as (
    select named.segment, customer.customer_key
    from (
        select segment_id, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment
        from mart.segment
    ) as named
    cross join lateral mart.segment_customers(named.segment_id) as customer (customer_key)
    where {% if segments %}named.segment in {{ segments | where_in }}{% else %}false{% endif %}
)
