-- Every loaded line of a file is in the mart, a duplicate or a bot's: for this run's files, and for older files whose
-- lines this run moved.
with scope as (select * from {files}),

files as (
    select file_id from scope
    union
    select file_id from build.file_balance
)

select
    f.file_id,
    f.rows_loaded,
    coalesce(b.rows_mart, 0) as rows_mart,
    coalesce(b.rows_duplicate, 0) as rows_duplicate,
    coalesce(b.rows_bot, 0) as rows_bot,
    f.rows_loaded - coalesce(b.rows_mart + b.rows_duplicate + b.rows_bot, 0) as difference
from files as n
inner join raw.file as f on n.file_id = f.file_id
left join next.file_balance as b on f.file_id = b.file_id
where f.rows_loaded <> coalesce(b.rows_mart + b.rows_duplicate + b.rows_bot, 0)
