-- The entry that counts per subject. entry: first takes the first; entry: best takes the earliest of those that get
-- furthest. For every event the latest entry from which it can be reached is carried along: if any entry is still
-- within the window, the latest one is.
with level_1 as (
    select
        m.funnel_id,
        m.subject_key,
        m.match_no,
        m.matched_at as entered_at
    from {{ ref('int_funnel__match') }} as m
    inner join {{ ref('int_funnel__definition') }} as f on m.funnel_id = f.funnel_id
    where m.step_no = 1 and (f.entry = 'best' or m.match_no = 1)
),
{% for level in range(2, longest_funnel() + 1) %}
level_{{ level }} as (
    select
        c.funnel_id,
        c.subject_key,
        c.match_no,
        c.entered_at
    from (
        select
            u.*,
            max(u.reached_from) over (
                partition by u.funnel_id, u.subject_key order by u.match_no
                groups between unbounded preceding and 1 preceding
            ) as entered_at
        from (
            select
                funnel_id,
                subject_key,
                match_no,
                null::timestamptz as matched_at,
                entered_at as reached_from
            from level_{{ level - 1 }}
            union all
            select
                funnel_id,
                subject_key,
                match_no,
                matched_at,
                null as reached_from
            from {{ ref('int_funnel__match') }}
            where step_no = {{ level }}
        ) as u
    ) as c
    inner join {{ ref('int_funnel__definition') }} as f on c.funnel_id = f.funnel_id
    where
        c.matched_at is not null
        and c.entered_at is not null
        and (f.time_window is null or c.matched_at <= c.entered_at + f.time_window)
),
{% endfor %}
furthest as (
    {%- for level in range(1, longest_funnel() + 1) %}
    select
        funnel_id,
        subject_key,
        {{ level }} as step_reached,
        min(entered_at) as entered_at
    from level_{{ level }}
    group by funnel_id, subject_key
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select distinct on (funnel_id, subject_key)
    funnel_id,
    subject_key,
    step_reached,
    entered_at
from furthest
order by funnel_id asc, subject_key asc, step_reached desc
