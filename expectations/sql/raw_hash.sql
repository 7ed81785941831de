-- The sum of the line hashes of a file, worked out again from its rows, is what landing worked out while it read them.
-- It does not depend on the order of rows. The hashes are those of landing/targets.py; the source of a file says which
-- table its rows are in, and each file is a look-up by its range of rows (raw.stored_hash). A file that was landed
-- before hashes were kept has none to compare with, until it is landed again.
with scope as (select * from {batch}),

whole as (  -- a full run reads the table once
    select
        (r.row_id >> 32)::integer as file_id,
        sum(
            int8xor(
                int8xor(r.event_hash, (extract(epoch from r.event_at) * 1000000)::bigint), r.row_id & 4294967295
            )
        ) as stored_hash
    from raw.event as r
    where (select is_full from build.run_scope)
    group by (r.row_id >> 32)::integer
),

hashed as (
    select
        s.file_id,
        s.content_hash,
        raw.stored_hash(s.source, s.first_row, s.last_row) as stored_hash
    from scope as s
    where not (s.source = 'clickstream' and (select is_full from build.run_scope))
    union all
    select
        s.file_id,
        s.content_hash,
        h.stored_hash
    from scope as s
    left join whole as h on s.file_id = h.file_id
    where s.source = 'clickstream' and (select is_full from build.run_scope)
)

select
    file_id,
    content_hash,
    coalesce(stored_hash, 0) as stored_hash
from hashed
where content_hash <> coalesce(stored_hash, 0)
