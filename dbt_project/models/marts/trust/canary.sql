{{ config(materialized='mart_view') }}
-- As it is now, whatever has been published: whether something is missing is not for the publication to say.
select
    canary_id,
    canary_date,
    label ->> 'ko' as label_ko,
    label ->> 'en' as label_en,
    sent_at,
    due_at,
    checked_at,
    is_seen,
    hop,
    missing
from {{ source('ops', 'canary') }}
