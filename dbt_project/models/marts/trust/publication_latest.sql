{{ config(materialized='mart_view') }}
select
    publication_id,
    run_id,
    published_at,
    watermark_at,
    checks_passed,
    checks_failed,
    session_policy_version,
    identity_version,
    definitions as code_hash
from {{ source('ops', 'publication') }}
order by publication_id desc
limit 1
