{{ config(materialized='mart_view') }}
-- Published files only; the difference is counted from the mart side (file_balance), so it can be wrong.
select
    f.source,
    {{ business_date('f.loaded_at') }} as landed_date,
    count(*)::integer as files,
    sum(f.rows_read)::bigint as rows_landed,
    sum(f.rows_loaded)::bigint as rows_loaded,
    sum(f.rows_quarantined)::bigint as rows_quarantined,
    sum(coalesce(b.rows_duplicate, 0))::bigint as rows_duplicate,
    sum(coalesce(b.rows_bot, 0))::bigint as rows_bot,
    sum(coalesce(b.rows_mart, 0))::bigint as rows_mart,
    sum(case when f.removed_id is not null then f.rows_loaded else 0 end)::bigint as rows_out_of_scope,
    sum(f.rows_erased)::bigint as rows_erased,
    sum(
        f.rows_read - f.rows_quarantined - f.rows_erased
        - case when f.removed_id is not null then f.rows_loaded else 0 end
        - coalesce(w.rows_waiting, 0) - coalesce(b.rows_duplicate, 0) - coalesce(b.rows_bot, 0)
        - coalesce(b.rows_mart, 0)
    )::bigint as difference,
    (array_agg(p.checks_passed order by p.publication_id desc))[1] as checks_passed,
    (array_agg(p.checks_failed order by p.publication_id desc))[1] as checks_failed,
    max(p.published_at) as published_at
from {{ source('raw', 'file') }} as f
inner join {{ source('ops', 'publication') }} as p on f.publication_id = p.publication_id
left join {{ ref('file_balance') }} as b on f.file_id = b.file_id
-- replayed from quarantine since: in the mart with the next publication
left join (
    select
        (row_id >> 32)::integer as file_id,
        count(*) as rows_waiting
    from {{ source('raw', 'replay') }}
    where publication_id is null
    group by 1
) as w on f.file_id = w.file_id
where f.status in ('loaded', 'superseded', 'expired')
group by 1, 2
