{{ config(indexes=[{'columns': ['funnel_id', 'subject_key', 'step_no', 'match_no']}]) }}
-- Everything that counts for the funnels computed in this run, in the total order of events (no from 1 per subject):
-- from the first entry on, and up to the first excluded event.
with matched as (
    select
        s.funnel_id,
        s.subject_key,
        t.step_no,
        m.matched_at,
        m.source_rank,
        m.row_id
    from {{ ref('int_funnel__subject') }} as s
    inner join {{ ref('int_funnel__definition') }} as f on s.funnel_id = f.funnel_id
    inner join {{ ref('int_funnel__step') }} as t on s.funnel_id = t.funnel_id
    inner join {{ ref('step_match') }} as m
        on t.condition_id = m.condition_id and f.count_by = 'person' and s.subject_key = m.person_key
    union all
    select
        s.funnel_id,
        s.subject_key,
        t.step_no,
        m.matched_at,
        m.source_rank,
        m.row_id
    from {{ ref('int_funnel__subject') }} as s
    inner join {{ ref('int_funnel__definition') }} as f on s.funnel_id = f.funnel_id
    inner join {{ ref('int_funnel__step') }} as t on s.funnel_id = t.funnel_id
    inner join {{ ref('step_match') }} as m
        on t.condition_id = m.condition_id and f.count_by = 'visitor' and -s.subject_key = m.visitor_key
),

numbered as (
    select
        funnel_id,
        subject_key,
        step_no,
        matched_at,
        dense_rank() over (
            partition by funnel_id, subject_key order by matched_at, source_rank, row_id
        ) as match_no
    from matched
),

bounded as (
    select
        *,
        min(match_no) filter (where step_no = 1) over (partition by funnel_id, subject_key) as first_no
    from numbered
)

select
    funnel_id,
    subject_key,
    step_no,
    matched_at,
    match_no
from (
    select
        *,
        min(match_no) filter (where step_no = 0 and match_no > first_no) over (
            partition by funnel_id, subject_key
        ) as excluded_no
    from bounded
    where match_no >= first_no
) as cut
where step_no > 0 and (excluded_no is null or match_no < excluded_no)
