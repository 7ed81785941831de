{{ config(indexes=[['subject_key', 'rule_id']]) }}
-- depends_on: {{ ref('step_match') }} {{ ref('int_detection__condition') }} {{ ref('int_run__stretch') }}
-- Whose hits are computed in this run, by rule and from when to when: around what changes and what has been waited for
-- until now. Beyond the bounds nothing that counts is within the reach of the rule, so that what is between them does
-- not depend on the rest of the history. A rule that is new is computed for everybody and needs no bounds.
-- Rules of about the same reach are bounded together: a person has then few bounds to look for, however many the rules.
{% set timeout = seconds(session_policy().timeout_seconds) %}
{% if is_full() -%}
select
    rule_id,
    null::integer as subject_key,
    null::timestamptz as from_at,
    null::timestamptz as until_at
from {{ ref('int_detection__rule') }}
where false
{%- else -%}
with recursive paced as materialized (
    select
        r.*,
        dense_rank() over (order by c.looks_ahead, {{ pace_of('r.reach') }}) as pace_no
    from {{ ref('int_detection__rule') }} as r
    cross join lateral (
        select bool_or(o.is_new_device or o.habit_window is not null) as looks_ahead
        from {{ ref('int_detection__condition') }} as o
        where r.rule_id = o.rule_id
    ) as c
    where not r.is_new
),

pace as materialized (
    select
        p.pace_no,
        max(p.reach) as reach,
        array_agg(distinct c.condition_id) as condition_ids
    from paced as p
    cross join lateral unnest(p.condition_ids) as c (condition_id)
    group by p.pace_no
),

changed as (
    select
        m.condition_id,
        m.person_key,
        min(m.matched_at) as from_at,
        max(m.matched_at) as until_at
    from (
        select
            condition_id,
            person_key,
            matched_at
        from {{ computed('step_match') }}
        union all
        select
            condition_id,
            person_key,
            matched_at
        from {{ replaced('step_match', 'condition_id, person_key, matched_at') }} as gone
    ) as m
    group by m.condition_id, m.person_key
),

-- a goal matters to hits before it, what is new or unusual to whatever comes later
touched as (
    select
        r.rule_no,
        r.pace_no,
        m.person_key as subject_key,
        case
            when r.reach is null then '-infinity'
            when c.place = -1 then m.from_at - r.goal_window - r.defer
            else m.from_at
        end as from_at,
        case
            when r.reach is null or c.is_new_device then 'infinity'
            else m.until_at + coalesce(c.habit_window, interval '0')
        end as until_at
    from changed as m
    inner join {{ ref('int_detection__condition') }} as c on m.condition_id = c.condition_id
    inner join paced as r on c.rule_id = r.rule_id
    union all
    -- a dwell longer than the time-out is kept, or ended, by sessions after its own
    select
        r.rule_no,
        r.pace_no,
        m.person_key as subject_key,
        case when r.reach is null then '-infinity' else m.matched_at end as from_at,
        case when r.reach is null then 'infinity' else m.matched_at end as until_at
    from paced as r
    inner join {{ ref('int_detection__condition') }} as c on r.rule_id = c.rule_id and c.place = r.steps * 2
    cross join {{ ref('int_run__stretch') }} as p
    cross join lateral (
        select o.*
        from {{ published('session_event') }} as e
        inner join {{ published('step_match') }} as o on e.row_id = o.row_id
        where
            e.visitor_key = p.visitor_key
            and e.event_at >= p.first_at - r.dwell - {{ timeout }}
            and e.event_at < p.last_at
            and o.condition_id = c.condition_id
        offset 0
    ) as m
    where r.dwell > {{ timeout }}
    union all
    select
        w.rule_no,
        w.pace_no,
        p.subject_key,
        case when w.reach is null then '-infinity' else p.due_at - w.defer end as from_at,
        case when w.reach is null then 'infinity' else p.due_at end as until_at
    from {{ published('detection_pending') }} as p
    inner join paced as w on p.rule_id = w.rule_id and p.version = w.version
    where p.due_at < {{ watermark() }}
),

-- The published matches do for finding the bounds: those of this run are between them already.
bounded as (
    select
        pace_no,
        subject_key,
        min(from_at) as from_at,
        max(until_at) as until_at
    from touched
    group by pace_no, subject_key
    union all
    select
        b.pace_no,
        b.subject_key,
        least(b.from_at, n.from_at) as from_at,
        greatest(b.until_at, n.until_at) as until_at
    from bounded as b
    inner join pace as p on b.pace_no = p.pace_no
    cross join lateral (
        select
            min(m.matched_at) as from_at,
            max(m.matched_at) as until_at
        from {{ published('step_match') }} as m
        where
            m.person_key = b.subject_key
            and m.matched_at >= b.from_at - p.reach
            and m.matched_at <= b.until_at + p.reach
            and m.condition_id = any(p.condition_ids)
    ) as n
    where n.from_at < b.from_at or n.until_at > b.until_at
)

select
    r.rule_id,
    t.subject_key,
    b.from_at,
    b.until_at + r.defer as until_at
from (
    select distinct
        rule_no,
        pace_no,
        subject_key
    from touched
) as t
inner join (
    select
        pace_no,
        subject_key,
        min(from_at) as from_at,
        max(until_at) as until_at
    from bounded
    group by pace_no, subject_key
) as b on t.pace_no = b.pace_no and t.subject_key = b.subject_key
inner join paced as r on t.rule_no = r.rule_no
{%- endif %}
