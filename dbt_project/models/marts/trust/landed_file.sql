{{ config(materialized='mart_view') }}
-- The ledger as it is now, whatever has been published: whoever looks for a file wants to know what became of it.
select
    f.file_id,
    f.source,
    f.path,
    f.sha256,
    f.bytes,
    case
        when f.status = 'loaded' and f.publication_id is null then 'waiting'
        when f.status in ('superseded', 'expired') and f.removed_id is null then 'loaded'
        else f.status
    end as status,
    f.rows_read,
    f.rows_loaded,
    f.rows_quarantined,
    f.rows_duplicate,
    f.rows_bot,
    f.rows_mart,
    f.first_event_at,
    f.last_event_at,
    f.loaded_at,
    {{ business_date('f.loaded_at') }} as landed_date,
    f.error,
    f.repeat_of,
    f.superseded_by
from {{ source('raw', 'file') }} as f
