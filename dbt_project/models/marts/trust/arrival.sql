{{ config(materialized='mart_view') }}
-- Published files only. On which day lines happened is counted by landing (raw.file_day), in the business zone too.
select
    f.source,
    d.happened_on,
    {{ business_date('f.loaded_at') }} as landed_date,
    {{ business_date('f.loaded_at') }} - d.happened_on as days_late,
    sum(d.rows_loaded)::bigint as rows_loaded
from {{ source('raw', 'file_day') }} as d
inner join {{ source('raw', 'file') }} as f on d.file_id = f.file_id
where f.status = 'loaded' and f.publication_id is not null
group by 1, 2, 3, 4
