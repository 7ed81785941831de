-- Session dates whose numbers this run changes; checks look at these.
select distinct session_date
from {{ changed_sessions() }} as changed
