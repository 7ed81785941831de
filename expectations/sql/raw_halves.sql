-- A clickstream line is two rows of the same number, one to compute with and one to look up: as many, and the same.
with scope as (select * from {batch}),

counted as (
    select
        s.file_id,
        e.rows_narrow,
        c.rows_wide,
        e.line_sum <> c.line_sum as is_other_line
    from scope as s
    cross join lateral (
        select
            count(*) as rows_narrow,
            coalesce(sum(r.row_id - s.first_row), 0) as line_sum
        from raw.event as r
        where r.row_id between s.first_row and s.last_row
    ) as e
    cross join lateral (
        select
            count(*) as rows_wide,
            coalesce(sum(r.row_id - s.first_row), 0) as line_sum
        from raw.clickstream as r
        where r.row_id between s.first_row and s.last_row
    ) as c
)

select
    file_id,
    rows_narrow,
    rows_wide,
    is_other_line
from counted
where rows_narrow <> rows_wide or is_other_line
