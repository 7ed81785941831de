-- Every line read from a file was either loaded or quarantined.
with scope as (select * from {batch})

select
    file_id,
    rows_read,
    rows_loaded,
    rows_quarantined,
    rows_read - rows_loaded - rows_quarantined as difference
from scope
where rows_read <> rows_loaded + rows_quarantined
