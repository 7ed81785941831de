-- What campaign systems will read: members whose consent has not been given or has ended; members that are not what the
-- changes told so far come to, or the other way round; exports whose numbers are not those of their members.
with scope as (
    select
        export_id,
        purpose
    from build.int_audience__scope
    where is_due
),

watermark as (
    select watermark_at from build.run_scope
),

-- customers of this run; everybody in a full build
touched as (
    select distinct
        export_id,
        customer_key
    from build.int_audience__change
    union
    select
        export_id,
        customer_key
    from next.audience_member
    where (select is_full from build.run_scope)
),

told as (
    select distinct on (c.export_id, c.customer_key, c.is_held_out)
        c.export_id,
        c.customer_key,
        c.is_held_out,
        c.op,
        c.row_hash
    from touched as t
    inner join next.audience_change as c on t.export_id = c.export_id and t.customer_key = c.customer_key
    order by c.export_id asc, c.customer_key asc, c.is_held_out asc, c.export_no desc
),

known as (
    select
        m.export_id,
        m.customer_key,
        m.is_held_out,
        m.row_hash
    from touched as t
    inner join next.audience_member as m on t.export_id = m.export_id and t.customer_key = m.customer_key
)

select
    'without consent' as found,
    m.export_id,
    m.customer_key
from scope as s
inner join next.audience_member as m on s.export_id = m.export_id
where
    not exists (
        select from next.consent as c
        where
            c.customer_key = m.customer_key
            and c.purpose = s.purpose
            and c.is_granted
            and c.valid_from <= greatest((select watermark_at from watermark), now())
            and c.valid_to > (select watermark_at from watermark)
    )
union all
select
    'not what was told' as found,
    coalesce(k.export_id, t.export_id) as export_id,
    coalesce(k.customer_key, t.customer_key) as customer_key
from known as k
full join (select * from told where op <> 'D') as t
    on k.export_id = t.export_id and k.customer_key = t.customer_key and k.is_held_out = t.is_held_out
where k.row_hash is distinct from t.row_hash
union all
select
    'miscounted' as found,
    e.export_id,
    null as customer_key
from scope as s
inner join build.audience_export as e on s.export_id = e.export_id
where
    e.as_of = (select watermark_at from watermark)
    and e.export_no = (select max(o.export_no) from build.audience_export as o where o.export_id = e.export_id)
    and e.members + e.held_out is distinct from (
        select count(*) from next.audience_member as m where m.export_id = e.export_id
    )
limit 200
