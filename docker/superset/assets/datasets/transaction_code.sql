-- What conditions on transactions can ask about, in the language of the dashboard.
select
    code.transaction_code,
    case {{ [language] | where_in }} when 'ko' then code.name_ko else code.name_en end as name_shown,
    case {{ [language] | where_in }} when 'ko' then code.category_ko else code.category_en end as category_shown,
    (
        select string_agg(
            item.content ->> 'name' || coalesce(
                -- Superset makes a function of json of ->> with a list on its right.
                ' (' || case {{ [language] | where_in }} when 'ko' then item.content -> 'label' ->> 'ko' else item.content -> 'label' ->> 'en' end || ')',
                ''
            ), ', '
            order by item.position
        )
        from jsonb_array_elements(code.items) with ordinality as item (content, position)
    ) as item_list,
    code.transactions,
    code.failed,
    code.last_seen_date
from mart.transaction_code as code
