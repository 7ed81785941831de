-- Questions whose answers the roles of the person who asks may open; nothing for somebody without one.
{% set own_roles = current_user_roles() -%}
select distinct
    item.place,
    item.question,
    '<a href="/superset/dashboard/' || item.address || '">' || item.title || '</a>' as look,
    item.read as how
from jsonb_to_recordset({{ [menu] | where_in }}::jsonb)
    as item (role text, place integer, question text, address text, title text, read text)
where item.role in {{ own_roles | where_in }}
