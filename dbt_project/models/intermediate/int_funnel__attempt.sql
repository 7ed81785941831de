{{ config(pre_hook="{{ funnel_walk() }}") }}
-- The attempts that count, of every subject computed in this run: each history is walked once.
{% set subjects = [
    ("'person', 'attempt'", 's.subject_key = m.person_key'),
    ("'visitor', 'session'", "-s.subject_key = m.visitor_key and (f.count_by = 'visitor' or s.session_at = m.started_at)"),
] %}
{% set of_match -%}
    m.person_key as subject_key,
        m.matched_at,
        m.source_rank,
        m.row_id,
        m.visitor_key,
        m.started_at,
        m.hold_value,
        m.breakdown_value
{%- endset %}
{% set of_subjects -%}
    {% if not is_full() -%}
    where
        k.is_new
        or (k.funnel_id, m.person_key) in (
            select
                s.funnel_id,
                s.subject_key
            from {{ ref('int_funnel__subject') }} as s
        )
    {%- endif %}
{%- endset %}
with paced as (
    select
        *,
        dense_rank() over (order by is_new, {{ pace_of('longest') }}) as pace_no
    from {{ ref('int_funnel__definition') }}
    where
        is_plain
        {{ 'and funnel_id in (select s.funnel_id from ' ~ ref('int_funnel__subject') ~ ' as s)' if not is_full() }}
),

counting as materialized (
    select
        c.condition_id,
        c.bits,
        f.funnel_no,
        f.funnel_id,
        f.is_new,
        f.pace_no,
        c.bits & 1 = 1 as is_entry,
        c.bits & f.next_bits <> 0 as is_awaited,
        max(f.longest) over (partition by f.pace_no) as longest,
        dense_rank() over (order by f.pace_no, c.condition_id) as condition_no
    from {{ ref('int_funnel__condition') }} as c
    inner join paced as f on c.funnel_id = f.funnel_id
),

-- A new funnel is of everybody; of others, what counts for those funnels of somebody that this run touches.
counted as (
    {%- for which in (['true'] if is_full() else ['is_new', 'not is_new']) %}
    select
        k.pace_no,
        k.condition_no,
        k.longest,
        m.person_key,
        m.visitor_key,
        m.started_at,
        m.hold_value,
        m.breakdown_value,
        m.matched_at,
        m.source_rank,
        m.row_id
    from {% if which == 'not is_new' -%}
    (
        select
            s.subject_key,
            array_agg(distinct c.condition_id) as condition_ids
        from {{ ref('int_funnel__subject') }} as s
        inner join counting as c on s.funnel_id = c.funnel_id
        where not c.is_new
        group by s.subject_key
    ) as p
    {{ look_up(ref('step_match'), 'm', 'p.subject_key = m.person_key and m.condition_id = any(p.condition_ids)') }}
    {%- else -%}
    {{ ref('step_match') }} as m
    {%- endif %}
    inner join (
        select distinct
            pace_no,
            condition_no,
            condition_id,
            longest
        from counting
        where {{ which }}
    ) as k on m.condition_id = k.condition_id
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
),

{{ stretches() }},

-- Where an entry is followed by what it waits for in the same stretch, there is a way to walk. Of all others, which are
-- most, the first entry is all there is to say.
followed as materialized (
    select distinct
        h.stretch_no,
        e.funnel_no
    from held as h
    inner join counting as e on h.condition_no = e.condition_no and e.is_entry
    inner join counting as n on e.funnel_no = n.funnel_no and n.is_awaited
    inner join held as t
        on h.stretch_no = t.stretch_no and n.condition_no = t.condition_no and h.first_at <= t.last_at
),

entered as (
    select distinct on (m.condition_no, m.person_key) m.*
    from stretched as m
    where m.condition_no in (select k.condition_no from counting as k where k.is_entry)
    order by m.condition_no, m.person_key, m.matched_at, m.source_rank, m.row_id
),

found as materialized (
    select
        k.funnel_no,
        k.bits,
        {{ of_match }}
    from followed as o
    inner join counting as k on o.funnel_no = k.funnel_no
    inner join stretched as m on o.stretch_no = m.stretch_no and k.condition_no = m.condition_no
    {{ of_subjects }}
),

first_entry as (
    select
        k.funnel_no,
        k.bits,
        -- not a join: the planner takes both sides for a row or two, and would compare everybody with everybody
        (k.funnel_no, m.person_key) not in (
            select distinct
                o.funnel_no,
                o.subject_key
            from found as o
        ) as is_alone,
        {{ of_match }}
    from entered as m
    inner join counting as k on m.condition_no = k.condition_no and k.is_entry
    {{ of_subjects }}
),

matched as (
    {%- for rows in ['found', 'first_entry where not is_alone'] %}
    select
        funnel_no,
        subject_key,
        timestamptz '1970-01-01 00:00+00' as session_at,
        bits,
        matched_at,
        source_rank,
        row_id,
        visitor_key,
        started_at,
        hold_value,
        breakdown_value
    from {{ rows }}
    {{- '\n    union all' if not loop.last }}
    {%- endfor %}
    {%- for count_by, is_of in subjects %}
    union all
    select
        f.funnel_no,
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
    inner join {{ ref('int_funnel__definition') }} as f
        on s.funnel_id = f.funnel_id and f.count_by in ({{ count_by }}) and not f.is_plain
    inner join {{ ref('int_funnel__condition') }} as c on s.funnel_id = c.funnel_id
    {{ look_up(ref('step_match'), 'm', 'c.condition_id = m.condition_id and ' ~ is_of) }}
    {%- endfor %}
),

-- what happened once is one event, however many steps it could be
happened as (
    select
        funnel_no << 32 | (subject_key::bigint & 4294967295) as history_no,  -- one number to sort by
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
    group by funnel_no, subject_key, session_at, matched_at, source_rank, row_id
),

history as (
    select
        h.history_no,
        h.session_at,
        case when f.is_held then h.hold_value end as hold_value,
        array_agg(h.matched_at order by h.matched_at, h.source_rank, h.row_id) as moments,
        array_agg(h.bits order by h.matched_at, h.source_rank, h.row_id) as bits,
        array_agg(h.row_id order by h.matched_at, h.source_rank, h.row_id) as row_ids,
        array_agg(h.source_rank order by h.matched_at, h.source_rank, h.row_id) as source_ranks,
        array_agg(h.visitor_key order by h.matched_at, h.source_rank, h.row_id) as visitor_keys,
        array_agg(h.started_at order by h.matched_at, h.source_rank, h.row_id) as starts,
        count(distinct h.matched_at) < count(*) as has_ties,
        case
            when bool_or(f.is_broken_down)
                then array_agg(h.breakdown_value order by h.matched_at, h.source_rank, h.row_id)
        end as breakdown_values
    from happened as h
    inner join {{ ref('int_funnel__definition') }} as f on h.history_no >> 32 = f.funnel_no
    where not f.is_held or h.hold_value is not null
    group by h.history_no, h.session_at, case when f.is_held then h.hold_value end
    having bool_or(f.step_order = 'any' or h.bits & 1 = 1)
),

attempt as (
    select
        f.funnel_id,
        h.history_no::bit(32)::integer as subject_key,
        h.session_at,
        h.hold_value,
        f.steps,
        f.entry,
        f.count_by,
        w.reached,
        w.is_over,
        w.is_void,
        w.open_until,
        h.has_ties
        and (
            r.reached is null
            or (r.reached, r.is_over, r.is_void) <> (w.reached, w.is_over, w.is_void)
            or r.open_until is distinct from w.open_until
            or exists (
                select from unnest(w.taken, r.taken) as p (place, other_place)
                where h.moments[p.place] is distinct from h.moments[p.other_place]
            )
        ) as is_tie_decided,
        h.moments[w.entry_place] as entered_at,
        h.source_ranks[w.entry_place] as entry_rank,
        h.row_ids[w.entry_place] as entry_row_id,
        h.visitor_keys[w.entry_place] as visitor_key,
        h.starts[w.entry_place] as started_at,
        t.step_times,
        t.step_rows,
        h.moments[t.last_place] as taken_at,
        h.source_ranks[t.last_place] as taken_rank,
        h.row_ids[t.last_place] as taken_row_id,
        t.required,
        case when f.is_broken_down then coalesce(h.breakdown_values[w.taken[f.breakdown_step]], '(none)') end
            as breakdown
    from history as h
    inner join {{ ref('int_funnel__definition') }} as f on h.history_no >> 32 = f.funnel_no
    cross join lateral (
        select *
        from build.funnel_walk(
            h.moments, h.bits, f.is_optional, f.step_order, f.time_window, f.step_windows, f.entry,
            f.count_by = 'attempt', f.exclusion_mode, f.exclusion_from, f.exclusion_to
        ) with ordinality
    ) as w
    -- where events lie at the same moment, a second walk meets them in the reverse order
    left join lateral (
        select r.*
        from build.funnel_walk(
            h.moments,
            (
                select array_agg(b.bits order by b.moment asc, b.place desc)
                from unnest(h.moments, h.bits) with ordinality as b (moment, bits, place)
            ),
            f.is_optional, f.step_order, f.time_window, f.step_windows, f.entry,
            f.count_by = 'attempt', f.exclusion_mode, f.exclusion_from, f.exclusion_to
        ) with ordinality as r
        where h.has_ties and r.ordinality = w.ordinality
        offset 0
    ) as r on true
    cross join lateral (
        select
            array_agg(h.moments[p.place] order by p.step_no) as step_times,
            array_agg(h.row_ids[p.place] order by p.step_no) as step_rows,
            count(p.place) filter (where not f.is_optional[p.step_no]) as required,
            max(p.place) filter (where not f.is_optional[p.step_no]) as last_place
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
                case when count_by <> 'attempt' and entry = 'latest' then taken_rank end asc,
                case when count_by <> 'attempt' and entry = 'latest' then taken_row_id end asc,
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
    is_tie_decided,
    coalesce(breakdown, 'all') as breakdown
from ranked
where (count_by = 'attempt' or attempt_no = 1) and not is_void
union all
select
    f.funnel_id,
    e.subject_key,
    timestamptz '1970-01-01 00:00+00' as session_at,
    1 as attempt_no,
    null as hold_value,
    e.matched_at as entered_at,
    e.visitor_key,
    e.started_at,
    1 as reached,
    f.steps = 1 as is_converted,
    false as is_over,
    case when f.steps > 1 then e.matched_at + f.first_window end as open_until,
    array[e.matched_at] as step_times,
    array[e.row_id] as step_rows,
    false as is_tie_decided,
    case
        when not f.is_broken_down then 'all'
        when f.breakdown_step = 1 then coalesce(e.breakdown_value, '(none)')
        else '(none)'
    end as breakdown
from first_entry as e
inner join {{ ref('int_funnel__definition') }} as f on e.funnel_no = f.funnel_no
where e.is_alone
