-- depends_on: {{ ref('customer') }} {{ ref('int_segment__customer') }} {{ ref('session_fact') }}
-- depends_on: {{ ref('funnel_entry') }} {{ ref('detection') }}
-- When each thing that segments ask for holds, for the customers computed in this run. At least n times within d holds
-- from the n-th match on until the first of these n is d ago.
{% set found = segments() %}
{% set of_entry -%}
    l.*,
        t.customer_key,
        e.breakdown as entry_breakdown,
        e.entry_date,
        e.visitor_key,
        e.started_at,
        e.status,
        e.open_until,
        e.step_times[l.funnel_step] as step_at,
        e.step_times[l.next_step] as next_at
{%- endset %}
with entry as (
    select
        {{ of_entry }}
    from (select * from {{ ref('int_segment__leaf') }} where funnel_id is not null) as l
    cross join {{ ref('int_segment__customer') }} as t
    {{ look_up(ref('funnel_entry'), 'e', 'l.funnel_id = e.funnel_id and e.subject_key = t.customer_key') }}
    union all
    -- of a visitor or session that is counted, the customer of the session of the entry
    select
        {{ of_entry }}
    from (select * from {{ ref('int_segment__leaf') }} where count_by in ('visitor', 'session')) as l
    cross join {{ ref('int_segment__customer') }} as t
    {{ look_up(ref('session_fact'), 's', 's.customer_key = t.customer_key') }}
    {{ look_up(ref('funnel_entry'), 'e', 'l.funnel_id = e.funnel_id and e.subject_key = -s.visitor_key'
        ' and e.visitor_key = s.visitor_key and e.started_at = s.started_at') }}
),

-- Who has not gone on is still open until the end of their time, included, and dropped from then on: it is a moment
-- later that they are. An exclusion or another event that ended it has no time here: dropped from the step on.
reached as (
    select
        l.leaf_id,
        l.customer_key,
        case l.outcome
            when 'converted' then case when l.next_step is null then l.step_at else l.next_at end
            when 'dropped' then case when l.next_step is not null and l.next_at is null then l.over_at end
            when 'still_open' then case when l.next_step is not null then l.step_at end
            else l.step_at
        end as matched_at,
        case when l.outcome = 'still_open' then coalesce(l.next_at, l.over_at) end as ends_at
    from (
        select
            e.*,
            case
                when e.open_until is not null then e.open_until + interval '1 microsecond'
                when e.status = 'dropped' then e.step_at
            end as over_at
        from entry as e
    ) as l
    where
        l.step_at is not null
        and (l.breakdown is null or l.entry_breakdown = l.breakdown)
        and l.entry_date between l.from_date and l.to_date
        and {{ is_of_agents('(
                select n.agent_key from ' ~ ref('session_fact') ~ ' as n
                where n.visitor_key = l.visitor_key and n.started_at = l.started_at
            )') }}
),

later as (
    select
        l.leaf_id,
        t.customer_key,
        m.matched_at,
        m.condition_id = l.condition_id as is_counted,
        bool_or(m.condition_id = l.after_condition_id) over (
            partition by l.leaf_id, t.customer_key
            order by m.matched_at, m.source_rank, m.row_id
            groups between unbounded preceding and 1 preceding
        ) as is_after
    from (
        select customer_key
        from {{ ref('int_segment__customer') }}
        where exists (select from {{ ref('int_segment__leaf') }} as l where l.after_condition_id is not null)
    ) as t
    {{ look_up(
        ref('step_match'), 'm',
        't.customer_key = m.person_key and m.condition_id = any(array('
        'select unnest(array[k.condition_id, k.after_condition_id]) from ' ~ ref('int_segment__leaf') ~ ' as k'
        ' where k.after_condition_id is not null))'
    ) }}
    inner join {{ ref('int_segment__leaf') }} as l
        on l.after_condition_id is not null and m.condition_id in (l.condition_id, l.after_condition_id)
),

happened as (
    select
        l.leaf_id,
        t.customer_key,
        m.matched_at,
        null::timestamptz as ends_at
    from {{ ref('int_segment__customer') }} as t
    {{ look_up(
        ref('step_match'), 'm',
        't.customer_key = m.person_key and m.condition_id = any(array(select k.condition_id from '
        ~ ref('int_segment__leaf') ~ ' as k))'
    ) }}
    inner join {{ ref('int_segment__leaf') }} as l on m.condition_id = l.condition_id
    where l.after_condition_id is null
    union all
    select
        leaf_id,
        customer_key,
        matched_at,
        null::timestamptz as ends_at
    from later
    where is_counted and is_after
    union all
    select
        l.leaf_id,
        t.customer_key,
        s.ended_at as matched_at,
        null::timestamptz as ends_at
    from {{ ref('int_segment__leaf') }} as l
    cross join {{ ref('int_segment__customer') }} as t
    {{ look_up(ref('session_fact'), 's', 's.customer_key = t.customer_key') }}
    where
        l.pattern is not null and s.path ~ l.pattern and coalesce(s.path !~ l.forbidden, true)
        and s.session_date between l.from_date and l.to_date
        and {{ is_of_agents('s.agent_key') }}
    union all
    select
        l.leaf_id,
        t.customer_key,
        h.detected_at as matched_at,
        null::timestamptz as ends_at
    from (select * from {{ ref('int_segment__leaf') }} where rule_id is not null) as l
    cross join {{ ref('int_segment__customer') }} as t
    {{ look_up(ref('detection'), 'h', 'l.rule_id = h.rule_id and h.subject_key = t.customer_key') }}
    union all
    select
        leaf_id,
        customer_key,
        matched_at,
        ends_at
    from reached
    where matched_at is not null
),

matched as (
    select
        h.leaf_id,
        h.customer_key,
        h.matched_at,
        h.ends_at,
        l.time_within,
        lag(h.matched_at, l.at_least - 1) over (
            partition by h.leaf_id, h.customer_key order by h.matched_at
        ) as first_at
    from happened as h
    inner join {{ ref('int_segment__leaf') }} as l on h.leaf_id = l.leaf_id
),

ranged as (
    select
        leaf_id,
        customer_key,
        matched_at,
        least(first_at + time_within, ends_at) as until_at
    from matched
    where first_at is not null
)

select
    leaf_id,
    customer_key,
    tstzrange(matched_at, until_at) as valid
from ranged
where until_at is null or matched_at < until_at
{%- for leaf in found.leaves if leaf.predicate %}
union all
select
    '{{ leaf.leaf_id }}' as leaf_id,
    u.customer_key,
    tstzrange(
        u.valid_from::timestamp at time zone '{{ session_policy().time_zone }}',
        nullif(u.valid_to, date '9999-12-31')::timestamp at time zone '{{ session_policy().time_zone }}'
    ) as valid
from {{ ref('int_segment__customer') }} as t
{{ look_up(ref('customer'), 'u', 'u.customer_key = t.customer_key') }}
where {{ leaf.predicate }}
union all
-- everything is null before anything is known of them, as it is of those of whom nothing ever is
select
    '{{ leaf.leaf_id }}' as leaf_id,
    t.customer_key,
    tstzrange(
        null,
        (
            select min(f.valid_from)::timestamp at time zone '{{ session_policy().time_zone }}'
            from {{ ref('customer') }} as f
            where f.customer_key = t.customer_key
        )
    ) as valid
from {{ ref('int_segment__customer') }} as t
left join {{ ref('customer') }} as u on false
where {{ leaf.predicate }}
{%- endfor %}
