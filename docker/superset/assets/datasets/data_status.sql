select
    landed_date,
    {% include '_source.sql' %},
    files,
    rows_landed,
    rows_mart,
    rows_duplicate,
    rows_bot,
    rows_quarantined,
    rows_out_of_scope,
    rows_erased,
    difference
from mart.data_status
