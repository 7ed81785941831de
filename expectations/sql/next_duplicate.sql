-- A duplicate names the line it repeats, and that line is itself no duplicate.
select
    d.row_id,
    d.of_row_id
from build.line_duplicate as d
where
    d.row_id = d.of_row_id
    or exists (select from next.line_duplicate as o where o.row_id = d.of_row_id)
    or exists (select from build.run_erased as g where g.erased_row = d.of_row_id)
    or not exists (
        select from raw.file as f
        where
            f.file_id = (d.of_row_id >> 32)::integer
            and f.status in ('loaded', 'superseded', 'expired')  -- the latter since this run was built
            and not exists (select from build.run_gone as g where g.file_id = f.file_id)
    )
