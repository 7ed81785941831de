-- The sum of the line hashes of a file, worked out again from its rows, is what landing worked out while it read them.
-- It does not depend on the order of rows. The hashes are those of landing/targets.py; the source of a file says which
-- table its rows are in, and each file is a look-up by its range of rows. A file that was landed before hashes were
-- kept has none to compare with, until it is landed again.
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
        coalesce(h.stored_hash, 0) as stored_hash
    from scope as s
    left join lateral (
        select
            sum(
                int8xor(
                    int8xor(r.event_hash, (extract(epoch from r.event_at) * 1000000)::bigint), r.row_id - s.first_row
                )
            ) as stored_hash
        from raw.event as r
        where r.row_id between s.first_row and s.last_row
    ) as h on true
    where s.source = 'clickstream' and not (select is_full from build.run_scope)
    union all
    select
        s.file_id,
        s.content_hash,
        coalesce(h.stored_hash, 0) as stored_hash
    from scope as s
    left join whole as h on s.file_id = h.file_id
    where s.source = 'clickstream' and (select is_full from build.run_scope)
    union all
    select
        s.file_id,
        s.content_hash,
        coalesce(h.stored_hash, 0) as stored_hash
    from scope as s
    left join lateral (
        select sum(('x' || left(md5(l.line), 16))::bit(64)::bigint) as stored_hash
        from (
            select
                concat_ws(
                    '|', r.row_id - s.first_row, r.transaction_id,
                    (extract(epoch from r.transacted_at) * 1000000)::bigint, r.amount
                ) as line
            from raw.transactions as r
            where s.source = 'transactions' and r.row_id between s.first_row and s.last_row
            union all
            select concat_ws('|', r.row_id - s.first_row, c.customer_id, r.effective_date) as line
            from raw.customers as r
            inner join raw.customer as c on r.customer_key = c.customer_key
            where s.source = 'customers' and r.row_id between s.first_row and s.last_row
            union all
            select
                concat_ws(
                    '|', r.row_id - s.first_row, r.consultation_id,
                    (extract(epoch from r.consulted_at) * 1000000)::bigint
                ) as line
            from raw.consultations as r
            where s.source = 'consultations' and r.row_id between s.first_row and s.last_row
            union all
            select
                concat_ws('|', r.row_id - s.first_row, r.send_id, (extract(epoch from r.sent_at) * 1000000)::bigint)
                    as line
            from raw.campaign_sends as r
            where s.source = 'campaign_sends' and r.row_id between s.first_row and s.last_row
            union all
            select
                concat_ws(
                    '|', r.row_id - s.first_row, r.subscription_id,
                    (extract(epoch from r.subscribed_at) * 1000000)::bigint
                ) as line
            from raw.subscriptions as r
            where s.source = 'subscriptions' and r.row_id between s.first_row and s.last_row
            union all
            select
                concat_ws(
                    '|', r.row_id - s.first_row, r.response_id,
                    (extract(epoch from r.responded_at) * 1000000)::bigint
                ) as line
            from raw.survey_responses as r
            where s.source = 'survey_responses' and r.row_id between s.first_row and s.last_row
            union all
            select
                concat_ws(
                    '|', r.row_id - s.first_row, c.customer_id, r.purpose, r.is_granted::text,
                    (extract(epoch from r.effective_at) * 1000000)::bigint
                ) as line
            from raw.consents as r
            inner join raw.customer as c on r.customer_key = c.customer_key
            where s.source = 'consents' and r.row_id between s.first_row and s.last_row
        ) as l
    ) as h on true
    where s.source <> 'clickstream'
)

select
    file_id,
    content_hash,
    stored_hash
from hashed
where content_hash <> stored_hash
