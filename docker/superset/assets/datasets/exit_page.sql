select
    session.session_id,
    session.session_date,
    session.channel,
    session.domain,
    session.device_type,
    session.errors,
    session.transactions,
    coalesce(name.label, session.exit_node) as exit_page
from mart.session as session
left join (
    select node, min(label) as label
    from mart.node
    group by node
) as name on session.exit_node = name.node
