{{ config(
    key=['funnel_id', 'subject_key'],
    replaces="exists (
        select from build.int_funnel__subject as s where s.funnel_id = m.funnel_id and s.subject_key = m.subject_key
    )",
    indexes=[['funnel_id', 'entry_date']],
) }}
-- When each step was taken: the earliest match after the step before. One join per step, each linear in the matches.
with walked_1 as (
    select
        r.funnel_id,
        r.subject_key,
        r.step_reached,
        r.entered_at,
        min(m.match_no) as match_no,
        array[r.entered_at] as step_times
    from {{ ref('int_funnel__reached') }} as r
    inner join {{ ref('int_funnel__match') }} as m
        on
            r.funnel_id = m.funnel_id
            and r.subject_key = m.subject_key
            and r.entered_at = m.matched_at
            and m.step_no = 1
    group by r.funnel_id, r.subject_key, r.step_reached, r.entered_at
),
{% for level in range(2, longest_funnel() + 1) %}
walked_{{ level }} as (
    select
        w.funnel_id,
        w.subject_key,
        w.step_reached,
        w.entered_at,
        min(m.match_no) as match_no,
        w.step_times || min(m.matched_at) as step_times
    from walked_{{ level - 1 }} as w
    inner join {{ ref('int_funnel__match') }} as m
        on
            w.funnel_id = m.funnel_id
            and w.subject_key = m.subject_key
            and w.match_no < m.match_no
            and m.step_no = {{ level }}
    where w.step_reached >= {{ level }}
    group by w.funnel_id, w.subject_key, w.step_reached, w.entered_at, w.step_times
),
{% endfor %}
walked as (
    {%- for level in range(1, longest_funnel() + 1) %}
    select * from walked_{{ level }} where step_reached = {{ level }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    w.funnel_id,
    f.version,
    coalesce(c.customer_id, v.visitor_id) as subject_id,
    w.subject_key,
    w.entered_at,
    {{ business_date('w.entered_at') }} as entry_date,
    w.step_reached,
    w.step_times,
    case
        when w.step_reached = f.steps then 'converted'
        when w.entered_at + f.time_window < (select s.watermark_at from build.run_scope as s) then 'dropped'
        else 'open'
    end as status
from walked as w
inner join {{ ref('int_funnel__definition') }} as f on w.funnel_id = f.funnel_id
left join {{ source('raw', 'customer') }} as c on w.subject_key = c.customer_key
left join {{ source('raw', 'visitor') }} as v on -w.subject_key = v.visitor_key
