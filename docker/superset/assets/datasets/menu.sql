-- What the roles of the person who asks may open; nothing for somebody without one.
{% set own_roles = current_user_roles() -%}
select distinct
    item.place,
    item.task,
    '<a href="/superset/dashboard/' || item.slug || '/">' || item.title || '</a>' as dashboard,
    item.description
from jsonb_to_recordset({{ [menu] | where_in }}::jsonb)
    as item (role text, place integer, task text, slug text, title text, description text)
where item.role in {{ own_roles | where_in }}
