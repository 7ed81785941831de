-- Every line read from a file was either loaded or quarantined, or erased since with its customer.
with scope as (select * from {batch})

select
    file_id,
    rows_read,
    rows_loaded,
    rows_quarantined,
    rows_erased,
    rows_read - rows_loaded - rows_quarantined - rows_erased as difference
from scope
where rows_read <> rows_loaded + rows_quarantined + rows_erased
