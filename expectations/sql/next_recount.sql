-- The balance of this run's files, counted again line by line from the tables themselves.
-- A full run counts each table once. Otherwise what is in the mart of a new file was computed by this run, and the
-- lines of a file that was published before, with lines replayed since, are looked up one by one.
with scope as (select * from {files}),

counted as (
    select
        (row_id >> 32)::integer as file_id,
        count(*) as rows_mart,
        0 as rows_duplicate,
        0 as rows_bot
    from next.session_event
    where (select is_full from build.run_scope)
    group by file_id
    union all
    select
        (n.row_id >> 32)::integer as file_id,
        count(*) as rows_mart,
        0 as rows_duplicate,
        0 as rows_bot
    from build.session_event as n
    where
        not (select is_full from build.run_scope)
        and (n.row_id >> 32)::integer in (select s.file_id from scope as s where s.publication_id is null)
    group by file_id
    union all
    select
        s.file_id,
        count(*) as rows_mart,
        0 as rows_duplicate,
        0 as rows_bot
    from scope as s
    cross join lateral (
        select
            e.visitor_key,
            e.event_at,
            e.row_id
        from raw.event as e
        where e.row_id between s.first_row and s.last_row
        offset 0
    ) as r
    cross join lateral (
        select
        from next.session_event as n
        where n.visitor_key = r.visitor_key and n.event_at = r.event_at and n.row_id = r.row_id
        offset 0
    ) as found
    where not (select is_full from build.run_scope) and s.publication_id is not null
    group by s.file_id
    union all
    select
        s.file_id,
        (select count(*) from next.transaction_fact as n where n.row_id between s.first_row and s.last_row)
            as rows_mart,
        (select count(*) from next.line_duplicate as n where n.row_id between s.first_row and s.last_row)
            as rows_duplicate,
        (select count(*) from next.line_bot as n where n.row_id between s.first_row and s.last_row) as rows_bot
    from scope as s
),

found as (
    select
        file_id,
        sum(rows_mart) as rows_mart,
        sum(rows_duplicate) as rows_duplicate,
        sum(rows_bot) as rows_bot
    from counted
    group by file_id
),

-- files of the other sources have no sessions to be counted in
behavioural as (
    select s.file_id
    from scope as s
    where
        exists (select from raw.event as r where r.row_id between s.first_row and s.last_row)
        or exists (select from raw.transactions as r where r.row_id between s.first_row and s.last_row)
)

select
    s.file_id,
    b.rows_mart as balance_mart,
    f.rows_mart as found_mart,
    b.rows_duplicate as balance_duplicate,
    f.rows_duplicate as found_duplicate,
    b.rows_bot as balance_bot,
    f.rows_bot as found_bot
from behavioural as s
left join found as f on s.file_id = f.file_id
left join next.file_balance as b on s.file_id = b.file_id
where
    coalesce(b.rows_mart, 0) <> coalesce(f.rows_mart, 0)
    or coalesce(b.rows_duplicate, 0) <> coalesce(f.rows_duplicate, 0)
    or coalesce(b.rows_bot, 0) <> coalesce(f.rows_bot, 0)
