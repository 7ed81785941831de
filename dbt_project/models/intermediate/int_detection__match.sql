-- depends_on: {{ ref('int_detection__subject') }}
-- What counts for the rules and people of this run, within their bounds: one row per rule and thing that happened.
-- For an event that may complete a rule which waits, due_at is the time it waits for, and verdict what is known by now:
-- fires, broken, or open until the watermark has passed. due_rank and due_row: the event that the hit fires at; of one
-- that fires at a time, what comes after all events of that time.
{% set timeout = seconds(session_policy().timeout_seconds) %}
with paced as (
    select
        *,
        dense_rank() over (order by is_new, {{ pace_of('longest') }}) as pace_no
    from (
        select
            *,
            reach - coalesce(cooldown, interval '0') as longest
        from {{ ref('int_detection__rule') }}
    ) as r
),

wanted as materialized (
    select
        c.*,
        r.rule_no,
        r.is_new,
        r.is_held,
        r.has_absence,
        r.pace_no,
        max(r.longest) over (partition by r.pace_no) as longest,
        dense_rank() over (order by r.pace_no, c.condition_id) as condition_no
    from {{ ref('int_detection__condition') }} as c
    inner join paced as r on c.rule_id = r.rule_id
    where c.place >= 0
),

counting as (
    select
        pace_no,
        is_new,
        condition_id,
        condition_no,
        max(longest) as longest,
        -- longer than nothing, and not longer than what can be subtracted from a time
        case when max(longest) < interval '365000 days' then max(longest) + interval '1 second' end as moment
    from wanted
    group by pace_no, is_new, condition_id, condition_no
),

-- A hit has everything that must happen, and nothing of it is further away than the longest rule of its pace lasts:
-- only what is near the rarest of it has to be put in order.
rarest as (
    select distinct
        pace_no,
        condition_id
    from (
        select
            w.*,
            row_number() over (partition by w.rule_id order by m.matches nulls first) as rarity
        from wanted as w
        left join (
            select
                condition_id,
                count(*) as matches
            from {{ ref('step_match') }}
            -- a guess will do
            where person_key & 15 = 0 and exists (select from wanted as w where w.is_new)
            group by condition_id
        ) as m on w.condition_id = m.condition_id
        where w.is_new and w.required is not null
    ) as w
    where rarity = 1
),

near as (
    select distinct {{ surroundings('n.beside') }} as surroundings
    from rarest as r
    inner join counting as k on r.pace_no = k.pace_no and r.condition_id = k.condition_id
    inner join {{ ref('step_match') }} as m on k.condition_id = m.condition_id
    cross join (values (-1), (0), (1)) as n (beside)
),

{%- if not is_full() %}

-- By itself: the planner would rather pair every rule of a person with everything that the person did.
done as materialized (
    select m.*
    from (
        select
            subject_key,
            min(from_at) as from_at,
            max(until_at) as until_at
        from {{ ref('int_detection__subject') }}
        group by subject_key
    ) as p
    {{ look_up(
        ref('step_match'), 'm',
        'p.subject_key = m.person_key and p.from_at <= m.matched_at and p.until_at >= m.matched_at'
    ) }}
),
{%- endif %}

counted as (
    select
        k.pace_no,
        k.condition_no,
        k.longest,
        m.person_key,
        m.visitor_key,
        m.started_at,
        m.hold_value,
        m.matched_at,
        m.source_rank,
        m.row_id
    from counting as k
    inner join {{ ref('step_match') }} as m on k.condition_id = m.condition_id
    inner join near as n on {{ surroundings(0) }} = n.surroundings
    where k.is_new
    {%- if not is_full() %}
    union all
    select
        k.pace_no,
        k.condition_no,
        k.longest,
        m.person_key,
        m.visitor_key,
        m.started_at,
        m.hold_value,
        m.matched_at,
        m.source_rank,
        m.row_id
    from counting as k
    inner join done as m on k.condition_id = m.condition_id
    where not k.is_new
    {%- endif %}
),

{{ stretches() }},

needed as (
    select
        w.*,
        a.asked,
        count(*) over (partition by w.rule_no) as conditions,
        first_value(w.condition_no) over (partition by w.rule_no order by f.stretches nulls first) as rarest_no
    from (
        select
            rule_no,
            condition_no,
            sum(required) as times
        from wanted
        where required is not null
        group by rule_no, condition_no
    ) as w
    inner join (
        select
            rule_no,
            array_agg(distinct condition_no) as asked
        from wanted
        group by rule_no
    ) as a on w.rule_no = a.rule_no
    left join (
        select
            condition_no,
            count(*) as stretches
        from held
        group by condition_no
    ) as f on w.condition_no = f.condition_no
),

-- Only a stretch with everything that must happen can hold a hit; the rarest of it says where to look.
complete as (
    select
        h.stretch_no,
        n.rule_no,
        min(n.asked) as asked
    from held as h
    inner join needed as n on h.condition_no = n.rarest_no
    inner join held as o on h.stretch_no = o.stretch_no and n.condition_no = o.condition_no
    group by h.stretch_no, n.rule_no, n.conditions
    having count(*) filter (where o.times >= n.times) = n.conditions
),

sought as materialized (
    select
        stretch_no,
        rule_no,
        unnest(asked) as condition_no
    from complete
),

counts as (
    select
        w.rule_no << 32 | (m.person_key::bigint & 4294967295) as history_no,  -- one number to sort by
        case when w.is_held then m.hold_value else '' end as hold_value,
        m.matched_at,
        m.source_rank,
        m.row_id,
        m.visitor_key,
        m.started_at,
        w.has_absence,
        w.place
    from sought as q
    inner join stretched as m on q.stretch_no = m.stretch_no and q.condition_no = m.condition_no
    inner join wanted as w on q.rule_no = w.rule_no and q.condition_no = w.condition_no
    {%- if not is_full() %}
    left join {{ ref('int_detection__subject') }} as s on w.rule_id = s.rule_id and m.person_key = s.subject_key
    {%- endif %}
    where
        {% if not is_full() -%}
        (w.is_new or (m.matched_at >= s.from_at and m.matched_at <= s.until_at))
        and {% endif -%}
        (not w.is_held or m.hold_value is not null)
        and (
            not w.is_new_device
            or (
                select bool_and(o.visitor_key <> m.visitor_key)
                from {{ ref('step_match') }} as o
                where
                    o.person_key = m.person_key
                    and o.condition_id = w.condition_id
                    and row(o.matched_at, o.source_rank, o.row_id) < row(m.matched_at, m.source_rank, m.row_id)
            )
        )
        and (
            w.habit_times is null
            or (
                select
                    count(f.amount_krw) >= w.habit_least
                    and (
                        select t.amount_krw from {{ ref('transaction_fact') }} as t where t.row_id = m.row_id
                    ) >= w.habit_times * avg(f.amount_krw)
                from {{ ref('step_match') }} as o
                cross join lateral (  -- the limit keeps this a look-up, where a join would read all transactions
                    select t.amount_krw
                    from {{ ref('transaction_fact') }} as t
                    where t.row_id = o.row_id
                    limit 1
                ) as f
                where
                    o.person_key = m.person_key
                    and o.condition_id = w.condition_id
                    and o.matched_at >= m.matched_at - w.habit_window
                    and row(o.matched_at, o.source_rank, o.row_id) < row(m.matched_at, m.source_rank, m.row_id)
            )
        )
),

-- in the order in which they are walked
happened as materialized (
    select
        row_number() over (order by history_no, hold_value, matched_at, source_rank, row_id) as match_no,
        history_no,
        hold_value,
        matched_at,
        source_rank,
        row_id,
        max(visitor_key) as visitor_key,
        max(started_at) as started_at,
        array_agg(place order by place desc) as places,
        bool_or(has_absence) as has_absence
    from counts
    group by history_no, hold_value, matched_at, source_rank, row_id
),

followed as (
    select
        h.*,
        -- backwards, because a frame that ends in FOLLOWING is computed anew for every row
        min(array[(extract(epoch from h.matched_at) * 1000000)::bigint, h.source_rank, h.row_id]) filter (
            where 0::smallint = any(h.places)
        ) over (
            partition by h.history_no, h.hold_value order by h.match_no desc
            rows between unbounded preceding and 1 preceding
        ) as absent_place
    from happened as h
    where h.has_absence
    union all
    select
        h.*,
        null as absent_place
    from happened as h
    where not h.has_absence
),

due as (
    select
        h.*,
        r.rule_id,
        r.is_deferred,
        r.dwell is not null as is_dwell,
        r.dwell is not null or r.is_session_end as needs_session,
        s.ended_at,
        s.left_at,
        case
            when r.dwell is not null then h.matched_at + r.dwell
            when r.is_session_end then coalesce(s.left_at, s.ended_at + {{ timeout }})
            when r.has_absence then h.matched_at + r.absence_window
            else h.matched_at
        end as due_at,
        case
            when not r.is_deferred then h.source_rank
            when r.is_session_end and s.left_at is not null then 0
            else 32767
        end::smallint as due_rank,
        case
            when not r.is_deferred then h.row_id
            when r.is_session_end and s.left_at is not null then s.left_row
            else 0
        end as due_row
    from followed as h
    inner join {{ ref('int_detection__rule') }} as r on h.history_no >> 32 = r.rule_no
    -- until when the session went on; of a dwell, the last session of the visitor that began by its end
    left join lateral (
        select
            f.ended_at,
            l.left_at,
            l.left_row
        from {{ ref('session_fact') }} as f
        left join lateral (
            select
                e.event_at as left_at,
                e.row_id as left_row
            from {{ ref('session_event') }} as e
            inner join {{ source('raw', 'action') }} as a on e.action_id = a.action_id
            where
                e.visitor_key = h.visitor_key
                and e.event_at between h.matched_at and coalesce(h.matched_at + r.dwell, f.ended_at)
                and (r.dwell is not null or e.started_at = h.started_at)
                and row(e.event_at, 0::smallint, e.row_id) >= row(h.matched_at, h.source_rank, h.row_id)
                and (
                    a.action_type = 'exit'
                    or (r.dwell is not null and e.node_id <> (
                        select o.node_id
                        from {{ ref('session_event') }} as o
                        where o.visitor_key = h.visitor_key and o.event_at = h.matched_at and o.row_id = h.row_id
                    ))
                )
            order by e.event_at, e.row_id
            limit 1
        ) as l on true
        where
            (r.dwell is not null or r.is_session_end)
            and (r.steps * 2)::smallint = any(h.places)
            and f.visitor_key = h.visitor_key
            and f.started_at between h.started_at and coalesce(h.matched_at + r.dwell, h.started_at)
        order by f.started_at desc
        limit 1
    ) as s on true
)

select
    match_no,
    rule_id,
    history_no::bit(32)::integer as subject_key,
    hold_value,
    matched_at,
    source_rank,
    row_id,
    visitor_key,
    places,
    due_at,
    due_rank,
    due_row,
    case
        when not is_deferred then 'fires'
        when absent_place <= array[(extract(epoch from due_at) * 1000000)::bigint, due_rank, due_row] then 'broken'
        when needs_session and ended_at is null then 'broken'
        when is_dwell and left_at < due_at then 'broken'
        when is_dwell and ended_at >= due_at then 'fires'
        when not is_dwell and left_at is not null then 'fires'
        when due_at < {{ watermark() }} then 'fires'
        else 'open'
    end as verdict,
    coalesce(is_dwell and ended_at < due_at, false) as is_censored
from due
