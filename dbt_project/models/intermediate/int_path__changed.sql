-- Change in the number of sessions by the beginning of their path, one node deeper than shown so that
-- the last shown step knows where it leads. Never deeper than 500 steps: a path is a key, and an index takes 2.7 kB.
{% set depth = [session_policy().path_depth or 500, 500] | min %}
select
    session_date,
    channel,
    left(path, {{ depth + 1 }}) as path,
    sum(sign)::bigint as sessions
from {{ changed_sessions() }} as changed
group by 1, 2, 3
having sum(sign) <> 0
