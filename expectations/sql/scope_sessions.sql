-- The sessions that a run computes (+1) and the published ones that it replaces (-1); with a full run every session.
select
    1 as sign,
    s.*
from build.session_fact as s
union all
select
    -1 as sign,
    s.*
from build.session_fact_before as s
