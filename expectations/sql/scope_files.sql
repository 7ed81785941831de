-- The files a run answers for: those landed since the last publication, all files in a full run. One row per file.
select
    f.file_id,
    f.source,
    f.sha256,
    f.rows_read,
    f.rows_loaded,
    f.rows_quarantined,
    f.totals,
    f.declared,
    f.first_event_at,
    f.last_event_at,
    f.loaded_at,
    f.file_id::bigint << 32 as first_row,
    (f.file_id::bigint << 32) + 4294967295 as last_row,
    f.rows_quarantined::float8 / nullif(f.rows_read, 0) as quarantined_ratio
from raw.file as f
where
    f.status = 'loaded'
    and exists (select from build.run_file as r where r.file_id = f.file_id)
