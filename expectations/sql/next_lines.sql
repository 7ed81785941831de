-- Every loaded line of a file is in the mart, a duplicate or a bot's: for this run's files, and for older files whose
-- lines this run moved; of a file that this run takes away, none is left, nor
-- a line of an erased customer. Lines replayed from quarantine after this run
-- was built are the next run's.
with scope as (select * from {files}),

files as (
    select file_id from scope
    union
    select file_id from build.file_balance
),

expected as (
    select
        f.file_id,
        case
            when not exists (select from build.run_gone as g where g.file_id = f.file_id) then f.rows_loaded
            else 0
        end - (
            select count(*)
            from raw.replay as p
            where
                p.publication_id is null
                and p.row_id between f.file_id::bigint << 32 and (f.file_id::bigint << 32) + 4294967295
                and not exists (select from build.run_line as l where l.row_id = p.row_id)
        ) - (
            select count(*)
            from build.run_erased as e
            inner join raw.erased_line as l on e.erased_row = l.row_id
            where
                not l.is_rejected
                and e.erased_row between f.file_id::bigint << 32 and (f.file_id::bigint << 32) + 4294967295
        ) as rows_loaded
    from files as n
    inner join raw.file as f on n.file_id = f.file_id
)

select
    f.file_id,
    f.rows_loaded,
    coalesce(b.rows_mart, 0) as rows_mart,
    coalesce(b.rows_duplicate, 0) as rows_duplicate,
    coalesce(b.rows_bot, 0) as rows_bot,
    f.rows_loaded - coalesce(b.rows_mart + b.rows_duplicate + b.rows_bot, 0) as difference
from expected as f
left join next.file_balance as b on f.file_id = b.file_id
where f.rows_loaded <> coalesce(b.rows_mart + b.rows_duplicate + b.rows_bot, 0)
