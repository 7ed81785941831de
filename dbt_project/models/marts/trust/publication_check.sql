{{ config(materialized='mart_view') }}
select
    c.check_id,
    c.suite,
    c.severity,
    c.passed,
    c.observed,
    c.docs_path,
    c.checked_at
from {{ source('ops', 'check_result') }} as c
inner join {{ ref('publication_latest') }} as p on c.run_id = p.run_id
