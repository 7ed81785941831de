select
    error.session_date,
    error.channel,
    coalesce(name.label, error.error_page) as page,
    error.error_code,
    error.errors,
    error.sessions
from mart.error_page as error
left join (
    select node, min(label) as label
    from mart.node
    group by node
) as name on error.error_page = name.node
