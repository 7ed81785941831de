{{ config(
    key=['funnel_id', 'subject_key', 'session_at', 'attempt_no'],
    replaces="exists (
        select from build.int_channel__touched as t where t.funnel_id = m.funnel_id and t.subject_key = m.subject_key
    )",
    indexes=[['subject_key']],
) }}
-- The inflow channels by which those who enter a funnel came: to their first session ever, and to the last one up to
-- the entry that did not come directly, if it is at most 30 days before.
select
    e.funnel_id,
    e.subject_key,
    e.session_at,
    e.attempt_no,
    e.entry_date,
    coalesce(f.inflow_channel, '(none)') as first_channel,
    coalesce(l.inflow_channel, case when f.inflow_channel is null then '(none)' else 'direct' end) as last_channel,
    e.status = 'converted' as is_converted
from {{ ref('int_channel__touched') }} as t
inner join {{ ref('funnel_entry') }} as e on t.funnel_id = e.funnel_id and t.subject_key = e.subject_key
{%- for name, wanted, order in [
    ('f', 'true', 'asc'),
    ('l', "s.started_at >= e.entered_at - interval '30 days' and i.inflow_channel <> 'direct'", 'desc'),
] %}
left join lateral (
    select coalesce(i.inflow_channel, 'direct') as inflow_channel
    from (
        select
            c.started_at,
            c.inflow_key
        from {{ ref('session_fact') }} as c
        where c.customer_key = e.subject_key
        union all
        select
            v.started_at,
            v.inflow_key
        from {{ ref('session_fact') }} as v
        where v.visitor_key = -e.subject_key
    ) as s
    left join {{ ref('inflow') }} as i on s.inflow_key = i.inflow_key
    where s.started_at <= e.entered_at and {{ wanted }}
    order by s.started_at {{ order }}, 1
    limit 1
) as {{ name }} on true
{%- endfor %}
