select named.segment as segment_a, named.segment as segment_b
from (
    select case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment
    from mart.segment
) as named
