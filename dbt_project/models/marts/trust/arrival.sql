{{ config(materialized='mart_view') }}
-- Published files only. How late a line is, is counted by landing in the calendar of its source (raw.file_day).
select
    f.source,
    d.happened_on,
    f.loaded_at::date as landed_date,
    f.loaded_at::date - d.happened_on as days_late,
    sum(d.rows_loaded)::bigint as rows_loaded
from {{ source('raw', 'file_day') }} as d
inner join {{ source('raw', 'file') }} as f on d.file_id = f.file_id
where f.status = 'loaded' and f.publication_id is not null
group by 1, 2, 3, 4
