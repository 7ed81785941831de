-- Session dates whose numbers this run changes; checks look at these.
select distinct session_date
from {{ ref('int_session__changed') }}
