-- The sum of the hashes of a file's accepted rows is the same in raw, without duplicates and robots, and in the mart:
-- no row was exchanged for another, whatever the counts say. It does not depend on the order of rows.
with scope as (select * from {files}),

line as (
    select
        r.row_id,
        hash_record_extended(
            row(r.row_id, r.event_at, r.visitor_key, r.customer_key, r.node_id, r.agent_key, r.action_id), 0
        ) as line_hash
    from scope as s
    inner join raw.event as r on r.row_id between s.first_row and s.last_row
    where s.source = 'clickstream'
    union all
    select
        r.row_id,
        hash_record_extended(
            row(r.row_id, r.transaction_id, r.transacted_at, r.customer_key, r.node_id, r.amount), 0
        ) as line_hash
    from scope as s
    inner join raw.transactions as r on r.row_id between s.first_row and s.last_row
    where s.source = 'transactions'
),

landed as (
    select
        (l.row_id >> 32)::integer as file_id,
        sum(l.line_hash) as line_hash
    from line as l
    where
        not exists (select from build.line_duplicate as d where d.row_id = l.row_id)
        and not exists (select from build.line_bot as b where b.row_id = l.row_id)
        and not exists (select from build.run_erased as g where g.erased_row = l.row_id)
    group by (l.row_id >> 32)::integer
),

-- rows of this run's files are among those this run computed
computed as (
    select
        (e.row_id >> 32)::integer as file_id,
        hash_record_extended(
            row(e.row_id, e.event_at, e.visitor_key, e.customer_key, e.node_id, e.agent_key, e.action_id), 0
        ) as line_hash
    from build.session_event as e
    union all
    select
        (t.row_id >> 32)::integer as file_id,
        hash_record_extended(
            row(t.row_id, t.transaction_id, t.transacted_at, t.customer_key, t.node_id, t.amount), 0
        ) as line_hash
    from build.transaction_fact as t
),

accepted as (
    select
        c.file_id,
        sum(c.line_hash) as line_hash
    from computed as c
    where c.file_id in (select r.file_id from build.run_file as r)
    group by c.file_id
)

select
    r.file_id,
    l.line_hash as landed_hash,
    a.line_hash as mart_hash
from build.run_file as r
left join landed as l on r.file_id = l.file_id
left join accepted as a on r.file_id = a.file_id
where l.line_hash is distinct from a.line_hash
