-- depends_on: {{ ref('consent') }}
-- What this run tells campaign systems: who comes (I), of whom something else is told (U), who goes (D). Consent that
-- ends takes effect with the run that learns of it, whatever the schedule.
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

known as (
    {%- if is_published('audience_member') %}
    select
        m.export_id,
        m.customer_key,
        m.is_held_out,
        m.customer_id,
        m.row_hash,
        s.is_due
    from {{ ref('int_audience__scope') }} as s
    inner join {{ published('audience_member') }} as m on s.export_id = m.export_id
    where
        s.is_due
        or exists (
            select from {{ computed('consent') }} as c
            where
                c.customer_key = m.customer_key
                and c.purpose = s.purpose
                and c.valid_from <= {{ consent_moment() }}
                and c.valid_to > {{ consent_moment() }}
                and not c.is_granted
        )
    {%- else %}
    select
        c.export_id,
        c.customer_key,
        c.is_held_out,
        c.customer_id,
        c.row_hash,
        true as is_due
    from coming as c
    where false
    {%- endif %}
)

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
