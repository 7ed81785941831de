{{ config(
    key=['funnel_id', 'subject_key', 'session_at', 'attempt_no'],
    replaces="exists (
        select from build.int_channel__touched as t where t.funnel_id = m.funnel_id and t.subject_key = m.subject_key
    )",
    indexes=[['subject_key']],
) }}
-- The inflow channels by which those who enter a funnel came: to their first session up to the entry, and to the last
-- one that did not come directly, if it is at most 30 days before.
-- The sessions of a person are looked up once for all of their entries, by index, which a join with next.session_fact
-- could not use; materialized, or each look-up would read all inflows.
with visited as materialized (
    select
        p.subject_key,
        s.started_at,
        s.inflow_key
    from (select distinct subject_key from {{ ref('int_channel__touched') }}) as p
    cross join lateral (
        select
            c.started_at,
            c.inflow_key
        from {{ ref('session_fact') }} as c
        where c.customer_key = p.subject_key
        union all
        select
            v.started_at,
            v.inflow_key
        from {{ ref('session_fact') }} as v
        where v.visitor_key = -p.subject_key
    ) as s
),

visit as (
    select
        p.subject_key,
        p.started_at,
        coalesce(i.inflow_channel, 'direct') as inflow_channel
    from visited as p
    left join {{ ref('inflow') }} as i on p.inflow_key = i.inflow_key
),

seen as (
    select
        e.funnel_id,
        e.subject_key,
        e.session_at,
        e.attempt_no,
        e.entry_date,
        e.status = 'converted' as is_converted,
        (array_agg(v.inflow_channel order by v.started_at asc, v.inflow_channel asc))[1] as first_channel,
        (
            array_agg(v.inflow_channel order by v.started_at desc, v.inflow_channel asc) filter (
                where v.started_at >= e.entered_at - interval '30 days' and v.inflow_channel <> 'direct'
            )
        )[1] as last_channel
    from {{ ref('int_channel__touched') }} as t
    {{ look_up(ref('funnel_entry'), 'e', 't.funnel_id = e.funnel_id and t.subject_key = e.subject_key') }}
    left join visit as v on e.subject_key = v.subject_key and e.entered_at >= v.started_at
    group by e.funnel_id, e.subject_key, e.session_at, e.attempt_no, e.entry_date, e.status
)

select
    funnel_id,
    subject_key,
    session_at,
    attempt_no,
    entry_date,
    coalesce(first_channel, '(none)') as first_channel,
    coalesce(last_channel, case when first_channel is null then '(none)' else 'direct' end) as last_channel,
    is_converted
from seen
