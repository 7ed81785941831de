-- Change in the number of sessions by the beginning of their path, one node deeper than shown so that
-- the last shown step knows where it leads.
select
    session_date,
    channel,
    {% if session_policy().path_depth -%} left(path, {{ session_policy().path_depth + 1 }}) {%- else -%} path {%- endif %} as path,
    sum(sign)::bigint as sessions
from {{ ref('int_session__changed') }}
group by 1, 2, 3
having sum(sign) <> 0
