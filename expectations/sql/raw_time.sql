-- Nothing happened before 1970 or more than a day after its file landed. A consent says from when it holds.
with scope as (select * from {batch})

select
    file_id,
    source,
    first_event_at,
    last_event_at,
    loaded_at
from scope
where
    first_event_at < timestamptz '1970-01-01 00:00:00+00'
    or (last_event_at > loaded_at + interval '1 day' and source <> 'consents')
