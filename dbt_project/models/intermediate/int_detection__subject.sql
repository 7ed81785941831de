{{ config(indexes=[['subject_key', 'rule_id']]) }}
-- depends_on: {{ ref('step_match') }} {{ ref('int_detection__condition') }}
-- Whose hits are computed in this run, by rule and from when to when: around what changes and what has been waited for
-- until now. Beyond the bounds nothing that counts is within the reach of the rule, so that what is between them does
-- not depend on the rest of the history. A rule that is new is computed for everybody and needs no bounds.
{% if is_full() -%}
select
    rule_id,
    null::integer as subject_key,
    null::timestamptz as from_at,
    null::timestamptz as until_at
from {{ ref('int_detection__rule') }}
where false
{%- else -%}
with recursive changed as (
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
),

-- a goal matters to hits before it, what is new or unusual to whatever comes later
touched as (
    select
        r.rule_id,
        m.person_key as subject_key,
        case
            when r.reach is null then '-infinity'
            when c.place = -1 then m.matched_at - r.goal_window - r.defer
            else m.matched_at
        end as from_at,
        case
            when r.reach is null or c.is_new_device then 'infinity'
            else m.matched_at + coalesce(c.habit_window, interval '0')
        end as until_at
    from changed as m
    inner join {{ ref('int_detection__condition') }} as c on m.condition_id = c.condition_id
    inner join {{ ref('int_detection__rule') }} as r on c.rule_id = r.rule_id
    where not r.is_new
    union all
    select
        p.rule_id,
        p.subject_key,
        case when w.reach is null then '-infinity' else p.due_at - w.defer end as from_at,
        case when w.reach is null then 'infinity' else p.due_at end as until_at
    from {{ published('detection_pending') }} as p
    inner join {{ ref('int_detection__rule') }} as w on p.rule_id = w.rule_id and p.version = w.version
    where p.due_at < {{ watermark() }}
),

-- The published matches do for finding the bounds: those of this run are between them already.
bounded as (
    select
        rule_id,
        subject_key,
        min(from_at) as from_at,
        max(until_at) as until_at
    from touched
    group by rule_id, subject_key
    union all
    select
        b.rule_id,
        b.subject_key,
        least(b.from_at, n.from_at) as from_at,
        greatest(b.until_at, n.until_at) as until_at
    from bounded as b
    inner join {{ ref('int_detection__rule') }} as r on b.rule_id = r.rule_id
    cross join lateral (
        select
            min(m.matched_at) as from_at,
            max(m.matched_at) as until_at
        from {{ published('step_match') }} as m
        where
            m.person_key = b.subject_key
            and m.matched_at >= b.from_at - r.reach
            and m.matched_at <= b.until_at + r.reach
            and m.condition_id = any(r.condition_ids)
    ) as n
    where n.from_at < b.from_at or n.until_at > b.until_at
)

select
    b.rule_id,
    b.subject_key,
    min(b.from_at) as from_at,
    max(b.until_at) + min(r.defer) as until_at
from bounded as b
inner join {{ ref('int_detection__rule') }} as r on b.rule_id = r.rule_id
group by b.rule_id, b.subject_key
{%- endif %}
