-- depends_on: {{ ref('customer') }} {{ ref('int_segment__customer') }} {{ ref('session_fact') }}
-- depends_on: {{ ref('funnel_entry') }}
-- When each thing that segments ask for holds, for the customers computed in this run. At least n times within d holds
-- from the n-th match on until the first of these n is d ago.
{% set found = segments() %}
with happened as (
    select
        l.leaf_id,
        t.customer_key,
        m.matched_at
    from {{ ref('int_segment__customer') }} as t
    {{ look_up(
        ref('step_match'), 'm',
        't.customer_key = m.person_key and m.condition_id = any(array(select k.condition_id from '
        ~ ref('int_segment__leaf') ~ ' as k))'
    ) }}
    inner join {{ ref('int_segment__leaf') }} as l on m.condition_id = l.condition_id
    union all
    select
        l.leaf_id,
        t.customer_key,
        s.ended_at as matched_at
    from {{ ref('int_segment__leaf') }} as l
    cross join {{ ref('int_segment__customer') }} as t
    {{ look_up(ref('session_fact'), 's', 's.customer_key = t.customer_key') }}
    where l.pattern is not null and s.path ~ l.pattern and coalesce(s.path !~ l.forbidden, true)
    union all
    select
        l.leaf_id,
        t.customer_key,
        e.step_times[l.funnel_step] as matched_at
    from {{ ref('int_segment__leaf') }} as l
    cross join {{ ref('int_segment__customer') }} as t
    {{ look_up(ref('funnel_entry'), 'e', 'l.funnel_id = e.funnel_id and e.subject_key = t.customer_key') }}
    where e.step_times[l.funnel_step] is not null
),

matched as (
    select
        h.leaf_id,
        h.customer_key,
        h.matched_at,
        l.time_within,
        lag(h.matched_at, l.at_least - 1) over (
            partition by h.leaf_id, h.customer_key order by h.matched_at
        ) as first_at
    from happened as h
    inner join {{ ref('int_segment__leaf') }} as l on h.leaf_id = l.leaf_id
)

select
    leaf_id,
    customer_key,
    tstzrange(matched_at, first_at + time_within) as valid
from matched
where first_at is not null and (time_within is null or matched_at < first_at + time_within)
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
inner join {{ ref('customer') }} as u on t.customer_key = u.customer_key
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
