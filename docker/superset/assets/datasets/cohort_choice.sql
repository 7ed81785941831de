select
    cohort.owner,
    case {{ [language] | where_in }} when 'ko' then cohort.name_ko else cohort.name_en end as cohort,
    coalesce(sum(retention.size), 0) as size
from mart.cohort as cohort
left join mart.retention as retention
    on cohort.cohort_id = retention.cohort_id and cohort.version = retention.version and retention.age = 0
group by 1, 2
