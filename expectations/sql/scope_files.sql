-- The files a run answers for: those landed since the last publication and those with lines replayed from quarantine,
-- all files in a full run. One row per file.
select
    f.file_id,
    f.source,
    f.sha256,
    f.rows_read,
    f.rows_loaded,
    f.rows_quarantined,
    f.rows_erased,
    f.totals,
    f.content_hash,
    f.declared,
    f.first_event_at,
    f.last_event_at,
    f.loaded_at,
    f.publication_id,
    f.file_id::bigint << 32 as first_row,
    (f.file_id::bigint << 32) + 4294967295 as last_row,
    f.rows_quarantined::float8 / nullif(f.rows_read, 0) as quarantined_ratio
from raw.file as f
where
    f.file_id in (
        select file_id from build.run_file
        union all
        select (row_id >> 32)::integer from build.run_line
    )
    -- one that was corrected or has expired since is there until the next run
    and not exists (select from build.run_gone as g where g.file_id = f.file_id)
