{{ config(pre_hook="{{ funnel_walk() }}") }}
-- The attempts that count, of every subject computed in this run: each history is walked once.
{% set subjects = [
    ("'person', 'attempt'", 's.subject_key = m.person_key'),
    ("'visitor', 'session'", "-s.subject_key = m.visitor_key and (f.count_by = 'visitor' or s.session_at = m.started_at)"),
] %}
with matched as (
    {%- for count_by, is_of in subjects %}
    select
        s.funnel_id,
        s.subject_key,
        s.session_at,
        c.bits,
        m.matched_at,
        m.source_rank,
        m.row_id,
        m.visitor_key,
        m.started_at,
        m.hold_value,
        m.breakdown_value
    from {{ ref('int_funnel__subject') }} as s
    inner join {{ ref('int_funnel__definition') }} as f on s.funnel_id = f.funnel_id and f.count_by in ({{ count_by }})
    inner join {{ ref('int_funnel__condition') }} as c on s.funnel_id = c.funnel_id
    {{ look_up(ref('step_match'), 'm', 'c.condition_id = m.condition_id and ' ~ is_of) }}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
),

-- what happened once is one event, however many steps it could be
happened as (
    select
        funnel_id,
        subject_key,
        session_at,
        matched_at,
        source_rank,
        row_id,
        max(visitor_key) as visitor_key,
        max(started_at) as started_at,
        bit_or(bits) as bits,
        max(hold_value) as hold_value,
        max(breakdown_value) as breakdown_value
    from matched
    group by funnel_id, subject_key, session_at, matched_at, source_rank, row_id
),

history as (
    select
        h.funnel_id,
        h.subject_key,
        h.session_at,
        case when f.is_held then h.hold_value end as hold_value,
        array_agg(h.matched_at order by h.matched_at, h.source_rank, h.row_id) as moments,
        array_agg(h.bits order by h.matched_at, h.source_rank, h.row_id) as bits,
        array_agg(h.row_id order by h.matched_at, h.source_rank, h.row_id) as row_ids,
        array_agg(h.source_rank order by h.matched_at, h.source_rank, h.row_id) as source_ranks,
        array_agg(h.visitor_key order by h.matched_at, h.source_rank, h.row_id) as visitor_keys,
        array_agg(h.started_at order by h.matched_at, h.source_rank, h.row_id) as starts,
        case
            when bool_or(f.is_broken_down)
                then array_agg(h.breakdown_value order by h.matched_at, h.source_rank, h.row_id)
        end as breakdown_values
    from happened as h
    inner join {{ ref('int_funnel__definition') }} as f on h.funnel_id = f.funnel_id
    where not f.is_held or h.hold_value is not null
    group by h.funnel_id, h.subject_key, h.session_at, case when f.is_held then h.hold_value end
    having bool_or(f.step_order = 'any' or h.bits & 1 = 1)
),

attempt as (
    select
        h.funnel_id,
        h.subject_key,
        h.session_at,
        h.hold_value,
        f.steps,
        f.entry,
        f.count_by,
        w.reached,
        w.is_over,
        w.is_void,
        w.open_until,
        h.moments[w.entry_place] as entered_at,
        h.source_ranks[w.entry_place] as entry_rank,
        h.row_ids[w.entry_place] as entry_row_id,
        h.visitor_keys[w.entry_place] as visitor_key,
        h.starts[w.entry_place] as started_at,
        t.step_times,
        t.step_rows,
        t.taken_at,
        t.required,
        case when f.is_broken_down then coalesce(h.breakdown_values[w.taken[f.breakdown_step]], '(none)') end
            as breakdown
    from history as h
    inner join {{ ref('int_funnel__definition') }} as f on h.funnel_id = f.funnel_id
    cross join lateral build.funnel_walk(
        h.moments, h.bits, f.is_optional, f.step_order, f.time_window, f.step_windows, f.entry,
        f.count_by = 'attempt', f.exclusion_mode, f.exclusion_from, f.exclusion_to
    ) as w
    cross join lateral (
        select
            array_agg(h.moments[p.place] order by p.step_no) as step_times,
            array_agg(h.row_ids[p.place] order by p.step_no) as step_rows,
            count(p.place) filter (where not f.is_optional[p.step_no]) as required,
            max(h.moments[p.place]) filter (where not f.is_optional[p.step_no]) as taken_at
        from unnest(w.taken[1:w.reached]) with ordinality as p (place, step_no)
    ) as t
),

-- of several values that are held, the entry that counts is chosen among all of them
ranked as (
    select
        *,
        row_number() over (
            partition by funnel_id, subject_key, session_at
            order by
                case when count_by <> 'attempt' and entry <> 'first' then required end desc,
                case when count_by <> 'attempt' and entry = 'latest' then taken_at end asc,
                case when count_by <> 'attempt' and entry = 'latest' then entered_at end desc,
                entered_at asc,
                entry_rank asc,
                entry_row_id asc
        )::integer as attempt_no
    from attempt
)

select
    funnel_id,
    subject_key,
    session_at,
    case when count_by = 'attempt' then attempt_no else 1 end as attempt_no,
    hold_value,
    entered_at,
    visitor_key,
    started_at,
    reached,
    reached = steps as is_converted,
    is_over,
    open_until,
    step_times,
    step_rows,
    coalesce(breakdown, 'all') as breakdown
from ranked
where (count_by = 'attempt' or attempt_no = 1) and not is_void
