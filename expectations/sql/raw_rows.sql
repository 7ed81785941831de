-- The rows of a file that are in the raw tables are as many as the ledger says were loaded.
with scope as (select * from {batch}),

counted as (
    select
        s.file_id,
        s.rows_loaded,
        (select count(*) from raw.event as r where r.row_id between s.first_row and s.last_row)
        + (select count(*) from raw.transactions as r where r.row_id between s.first_row and s.last_row)
        + (select count(*) from raw.customers as r where r.row_id between s.first_row and s.last_row)
        + (select count(*) from raw.consultations as r where r.row_id between s.first_row and s.last_row)
        + (select count(*) from raw.campaign_sends as r where r.row_id between s.first_row and s.last_row)
        + (select count(*) from raw.subscriptions as r where r.row_id between s.first_row and s.last_row)
        + (select count(*) from raw.survey_responses as r where r.row_id between s.first_row and s.last_row)
        + (select count(*) from raw.consents as r where r.row_id between s.first_row and s.last_row)
            as rows_found
    from scope as s
)

select
    file_id,
    rows_loaded,
    rows_found,
    rows_loaded - rows_found as difference
from counted
where rows_loaded <> rows_found
