{# Lines that repeat an earlier line of the same id. The one that happened first counts, then the one landed first. #}
{% macro duplicates(table, id, happened_at='row_id') -%}
    select
        row_id,
        of_row_id
    from (
        select
            row_id,
            first_value(row_id) over (partition by {{ id }} order by {{ happened_at }}, row_id) as of_row_id
        from {{ landed(table) if is_full() else source('raw', table) }}
        {%- if not is_full() %}
        where
            ({{ id }}) in (select {{ id }} from {{ new_lines(table) }} as n)
            and {{ is_visible('row_id') }}
        {%- endif %}
    ) as {{ table }}
    where row_id <> of_row_id
{%- endmacro %}
