-- depends_on: {{ ref('consent') }}
-- What this run tells campaign systems: who comes (I), of whom something else is told (U), who goes (D). Consent that
-- ends takes effect with the next run, whatever the schedule.
with coming as (
    select
        c.export_id,
        c.customer_key,
        c.is_held_out,
        c.customer_id,
        c.attributes,
        c.row_hash
    from {{ ref('int_audience__candidate') }} as c
    where c.left_out is null
),

{%- if is_published('audience_member') %}

-- whose consent this run changes, or the clock has ended since the last one; nobody's ends in any other way
concerned as (
    {%- if is_full() %}
    select
        s.export_id,
        m.customer_key
    from {{ ref('int_audience__scope') }} as s
    inner join {{ published('audience_member') }} as m on s.export_id = m.export_id
    where not s.is_due
    {%- else %}
    select
        s.export_id,
        c.customer_key
    from (
        select
            customer_key,
            purpose
        from {{ computed('consent') }}
        union
        select
            customer_key,
            purpose
        from {{ replaced('consent', 'customer_key, purpose') }} as gone
        union
        select
            e.customer_key,
            e.purpose
        from {{ published('consent') }} as e
        where
            e.valid_to <= {{ consent_moment() }}
            and e.valid_to > (
                select greatest(p.watermark_at, r.started_at)
                from {{ source('ops', 'publication') }} as p
                inner join {{ source('ops', 'run') }} as r on p.run_id = r.run_id
                order by p.publication_id desc
                limit 1
            )
    ) as c
    inner join {{ ref('int_audience__scope') }} as s on c.purpose = s.purpose
    where not s.is_due
    {%- endif %}
),

known as (
    select
        m.export_id,
        m.customer_key,
        m.is_held_out,
        m.customer_id,
        m.row_hash
    from {{ ref('int_audience__scope') }} as s
    inner join {{ published('audience_member') }} as m on s.export_id = m.export_id
    where s.is_due
    union all
    select
        m.export_id,
        m.customer_key,
        m.is_held_out,
        m.customer_id,
        m.row_hash
    from concerned as w
    inner join {{ ref('int_audience__scope') }} as s on w.export_id = s.export_id
    inner join {{ published('audience_member') }} as m on w.export_id = m.export_id and w.customer_key = m.customer_key
    where not {{ consents('m.customer_key', 's.purpose') }}
)
{%- else %}

known as (
    select
        c.export_id,
        c.customer_key,
        c.is_held_out,
        c.customer_id,
        c.row_hash
    from coming as c
    where false
)
{%- endif %}

select
    s.export_id,
    s.version,
    s.next_no as export_no,
    coalesce(c.customer_key, k.customer_key) as customer_key,
    coalesce(c.is_held_out, k.is_held_out) as is_held_out,
    coalesce(c.customer_id, k.customer_id) as customer_id,
    case when k.export_id is null then 'I' when c.export_id is null then 'D' else 'U' end as op,
    coalesce(c.row_hash, k.row_hash) as row_hash,
    {{ watermark() }} as as_of,
    c.attributes
from coming as c
full join known as k
    on c.export_id = k.export_id and c.customer_key = k.customer_key and c.is_held_out = k.is_held_out
inner join {{ ref('int_audience__scope') }} as s on coalesce(c.export_id, k.export_id) = s.export_id
where k.export_id is null or c.export_id is null or c.row_hash <> k.row_hash
