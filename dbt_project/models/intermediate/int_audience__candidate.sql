-- Customers of the audiences that this run exports: with what is told of them, or why they are left out.
with wanted as (
    select
        s.export_id,
        v.customer_key
    from {{ ref('int_audience__scope') }} as s
    inner join {{ ref('segment_validity') }} as v on s.segment_id = v.segment_id
    where s.is_due and v.valid_from <= {{ watermark() }} and (v.valid_to is null or v.valid_to > {{ watermark() }})
    union
    select
        s.export_id,
        d.subject_key as customer_key
    from {{ ref('int_audience__scope') }} as s
    inner join {{ ref('detection') }} as d on s.rule_id = d.rule_id
    where s.is_due and d.detected_at > s.since
    union
    select
        s.export_id,
        case
            when f.count_by in ('visitor', 'session') then (
                select n.customer_key
                from {{ ref('session_fact') }} as n
                where n.visitor_key = e.visitor_key and n.started_at = e.started_at
            )
            else e.subject_key
        end as customer_key
    from {{ ref('int_audience__scope') }} as s
    inner join {{ ref('int_funnel__definition') }} as f on s.funnel_id = f.funnel_id
    inner join {{ ref('int_funnel__step') }} as t on s.funnel_id = t.funnel_id and s.step_no = t.step_no
    inner join {{ ref('funnel_entry') }} as e on s.funnel_id = e.funnel_id
    where
        s.is_due
        and e.step_times[s.step_no] is not null
        and (s.since is null or e.entered_at > s.since)
        and case
            when s.outcome = 'entered' then true
            when t.next_step_no is null or e.step_times[t.next_step_no] is not null then s.outcome = 'converted'
            when e.status = 'open' then s.outcome = 'still_open'
            else s.outcome = 'dropped'
        end
    union
    select
        s.export_id,
        p.person_key as customer_key
    from {{ ref('int_audience__scope') }} as s
    inner join {{ ref('cohort') }} as c on s.cohort_id = c.cohort_id
    cross join lateral raw.retention_person(
        '{{ ref("cohort_day") }}', s.cohort_id, c.period, c.mode, c.entry, c.ages, c.brackets
    ) as p
    where s.is_due and p.cohort_start = s.cohort_start
    group by s.export_id, s.cohort_start, s.age, s.has_returned, c.period, c.mode, p.person_key
    having
        s.age is null
        or (
            coalesce(bool_or(p.age = s.age or (c.mode = 'unbounded' and p.age > s.age)), false) = s.has_returned
            -- nobody stays away from a period to come
            and s.age <= raw.period_no(c.period, {{ business_date(watermark()) }})
            - raw.period_no(c.period, s.cohort_start)
        )
),

answered as materialized (
    select
        s.export_id,
        s.attribute_names,
        w.customer_key,
        k.customer_id,
        -- the same customer is kept back in every run, in whatever order files came
        mod(('x' || left(md5(s.export_id || ' ' || k.customer_id), 8))::bit(32)::bigint, 10000)
        < s.hold_out * 10000 as is_held_out,
        case
            when not {{ consents('w.customer_key', 's.purpose') }} then 'consent'
            when exists (
                select from {{ ref('segment_validity') }} as v
                where
                    v.segment_id = any(s.suppressed_segments)
                    and v.customer_key = w.customer_key
                    and v.valid_from <= {{ watermark() }}
                    and (v.valid_to is null or v.valid_to > {{ watermark() }})
            ) then 'suppression'
            when s.cap_times <= (
                select count(*)
                from {{ ref('campaign_send') }} as p
                where
                    p.customer_key = w.customer_key
                    and p.sent_at > {{ watermark() }} - s.cap_window
                    and p.sent_at <= {{ watermark() }}
            ) then 'fatigue'
        end as left_out
    from wanted as w
    inner join {{ ref('int_audience__scope') }} as s on w.export_id = s.export_id
    inner join {{ source('raw', 'customer') }} as k on w.customer_key = k.customer_key
)

select
    w.export_id,
    w.customer_key,
    w.customer_id,
    w.is_held_out,
    w.left_out,
    coalesce(a.attributes, '{}') as attributes,
    md5(coalesce(a.attributes, '{}')::text) as row_hash
from answered as w
-- of whom nothing is told, nothing is looked up
left join lateral (
    select
        jsonb_object_agg(
            n.name,
            case when n.name like 'attributes.%' then u.attributes -> substr(n.name, 12) else u.fields -> n.name end
        ) as attributes
    from (
        select
            o.attributes,
            to_jsonb(o) as fields
        from {{ ref('customer') }} as o
        where
            w.left_out is null
            and o.customer_key = w.customer_key
            and o.valid_from <= {{ business_date(watermark()) }}
            and o.valid_to > {{ business_date(watermark()) }}
        limit 1
    ) as u
    cross join unnest(w.attribute_names) as n (name)
) as a on true
