-- What may stand in the middle of Before and after, under the name by which it is chosen.
known as (
    select
        node as code,
        case kind when 'transaction' then kind else 'page' end as kind,
        label || ' · ' || case when kind = 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end
            as anchor,
        label
    from mart.node
    union
    select error_code, 'error', error_code || ' · ' || {{ [error] | where_in }}, error_code
    from mart.error_page
    where error_code <> '(none)'
)
