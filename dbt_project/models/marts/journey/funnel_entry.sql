{{ config(
    key=['funnel_id', 'subject_key', 'session_at', 'attempt_no'],
    replaces=[
        "exists (
            select from build.int_funnel__subject as s
            where s.funnel_id = m.funnel_id and s.subject_key = m.subject_key and s.session_at = m.session_at
        )",
        is_of_retired('funnels', 'funnel_id'),
    ],
    indexes=[['funnel_id', 'entry_date'], ['status', 'open_until']],
) }}
with attempt as (
    select
        a.*,
        f.version,
        s.session_id,
        -- a session does not go on after its time-out
        case
            when f.count_by = 'session'
                then least(a.open_until, s.ended_at + {{ seconds(session_policy().timeout_seconds) }})
            else a.open_until
        end as goes_on_until
    from {{ ref('int_funnel__attempt') }} as a
    inner join {{ ref('int_funnel__definition') }} as f on a.funnel_id = f.funnel_id
    {% if is_full() -%}
    left join {{ ref('session_fact') }} as s on -a.subject_key = s.visitor_key and a.session_at = s.started_at
    {%- else -%}
    left join lateral (
        select
            o.session_id,
            o.ended_at
        from {{ ref('session_fact') }} as o
        where -a.subject_key = o.visitor_key and a.session_at = o.started_at
        offset 0
    ) as s on true
    {%- endif %}
)

select
    a.funnel_id,
    a.version,
    coalesce(a.session_id::text, c.customer_id, v.visitor_id) as subject_id,
    a.subject_key,
    a.session_at,
    a.attempt_no,
    a.hold_value,
    a.breakdown,
    a.entered_at,
    {{ business_date('a.entered_at') }} as entry_date,
    a.reached as step_reached,
    a.step_times,
    a.step_rows,
    a.is_tie_decided,
    case
        when a.is_converted then 'converted'
        when a.is_over or a.goes_on_until < {{ watermark() }} then 'dropped'
        else 'open'
    end as status,
    case when not a.is_converted and not a.is_over then a.goes_on_until end as open_until,
    a.visitor_key,
    a.started_at
from attempt as a
left join {{ source('raw', 'customer') }} as c on a.subject_key = c.customer_key
left join {{ source('raw', 'visitor') }} as v on -a.subject_key = v.visitor_key
