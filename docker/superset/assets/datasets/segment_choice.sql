select
    case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment,
    members,
    (select count(distinct customer_key) from mart.customer) as customers
from mart.segment
{% if only_segments %}where segment_id in {{ only_segments | where_in }}{% endif %}
