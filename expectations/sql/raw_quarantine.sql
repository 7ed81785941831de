-- Every quarantined line of a file is kept, with its reason.
with scope as (select * from {batch}),

counted as (
    select
        s.file_id,
        s.rows_quarantined,
        (select count(*) from raw.quarantine as q where q.file_id = s.file_id) as lines_kept
    from scope as s
)

select
    file_id,
    rows_quarantined,
    lines_kept
from counted
where rows_quarantined <> lines_kept
