{{ config(indexes=[['subject_key']]) }}
-- Whose funnels are computed in this run: those whose matches change, those whose time has run out since, and everyone
-- for a funnel that is new. A subject is a customer, minus a visitor, or a session of minus a visitor.
-- Where the first attempt that gets furthest counts, who has converted has done so whatever happens afterwards; and who
-- has entered does not get further by an entry more that nothing follows which it waits for.
{% set parts = [('changed', '')] if is_full() else [('changed', 'and not f.is_new'), ('new_match', 'and f.is_new')] %}
with changed as (
    select
        condition_id,
        person_key,
        visitor_key,
        started_at,
        matched_at,
        false as is_gone
    from {{ computed('step_match') }}
    {%- if not is_full() %}
    union all
    select
        condition_id,
        person_key,
        visitor_key,
        started_at,
        matched_at,
        true as is_gone
    from {{ replaced('step_match', 'condition_id, person_key, visitor_key, started_at, matched_at') }} as gone
    {%- endif %}
),

{%- if not is_full() %}

new_match as (
    select
        m.condition_id,
        m.person_key,
        m.visitor_key,
        m.started_at,
        m.matched_at,
        false as is_gone
    from (
        select distinct c.condition_id
        from {{ ref('int_funnel__definition') }} as f
        inner join {{ ref('int_funnel__condition') }} as c on f.funnel_id = c.funnel_id
        where f.is_new
    ) as n
    {{ look_up(ref('step_match'), 'm', 'm.condition_id = n.condition_id') }}
),
{%- endif %}

-- Many funnels count the same: who did something is found once for all of them.
touched as (
    {%- for rows, of in parts %}
    select
        f.funnel_id,
        m.person_key as subject_key,
        timestamptz '1970-01-01 00:00+00' as session_at,
        m.from_at,
        m.to_at,
        c.bits = 1 and not m.is_gone as is_entry
    from (
        select
            condition_id,
            person_key,
            min(matched_at) as from_at,
            max(matched_at) as to_at,
            bool_or(is_gone) as is_gone
        from {{ rows }}
        group by condition_id, person_key
    ) as m
    inner join {{ ref('int_funnel__condition') }} as c on m.condition_id = c.condition_id
    inner join {{ ref('int_funnel__definition') }} as f on c.funnel_id = f.funnel_id
    where f.count_by in ('person', 'attempt') {{ of }}
    union all
    select
        f.funnel_id,
        -m.visitor_key as subject_key,
        case when f.count_by = 'session' then m.started_at else timestamptz '1970-01-01 00:00+00' end as session_at,
        m.matched_at as from_at,
        m.matched_at as to_at,
        false as is_entry
    from {{ rows }} as m
    inner join {{ ref('int_funnel__condition') }} as c on m.condition_id = c.condition_id
    inner join {{ ref('int_funnel__definition') }} as f on c.funnel_id = f.funnel_id
    where
        f.count_by in ('visitor', 'session') {{ of }}
        and m.visitor_key is not null
        and (f.count_by <> 'session' or m.started_at is not null)
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
)

select
    t.funnel_id,
    t.subject_key,
    t.session_at
from (
    select
        funnel_id,
        subject_key,
        session_at,
        min(from_at) as from_at,
        max(to_at) as to_at,
        bool_and(is_entry) as is_entry
    from touched
    group by funnel_id, subject_key, session_at
) as t
{%- if not is_full() %}
inner join {{ ref('int_funnel__definition') }} as d on t.funnel_id = d.funnel_id
left join lateral (
    select
        e.entered_at,
        e.status,
        e.step_times
    from {{ published('funnel_entry') }} as e
    where
        d.is_plain
        and e.funnel_id = t.funnel_id
        and e.subject_key = t.subject_key
        and e.session_at = t.session_at
        and e.version = d.version
    limit 1  -- keeps this a look-up, where a join would read all entries
) as c on true
where
    c.status is null
    or not (
        c.status = 'converted' and t.from_at > (select max(s.moment) from unnest(c.step_times) as s (moment))
        or t.is_entry
        and t.from_at > c.entered_at
        and not exists (
            select from {{ ref('step_match') }} as m
            where
                m.person_key = t.subject_key
                and m.matched_at >= t.from_at
                and m.matched_at <= coalesce(t.to_at + d.time_window, 'infinity')
                and m.condition_id in (
                    select w.condition_id
                    from {{ ref('int_funnel__condition') }} as w
                    where w.funnel_id = t.funnel_id and w.bits & d.next_bits <> 0
                )
        )
    )
union
select
    e.funnel_id,
    e.subject_key,
    e.session_at
from {{ published('funnel_entry') }} as e
inner join {{ ref('int_funnel__definition') }} as f on e.funnel_id = f.funnel_id and e.version = f.version
where e.status = 'open' and e.open_until < {{ watermark() }}
{%- endif %}
