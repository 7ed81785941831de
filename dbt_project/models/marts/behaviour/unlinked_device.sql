{{ config(key=['visitor_key'], replaces='true') }}
-- The decisions that this run sees, whatever is decided meanwhile.
select
    visitor_key,
    unlinked_at,
    reason
from {{ source('config', 'unlinked_device') }}
