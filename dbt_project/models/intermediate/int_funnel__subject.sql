{{ config(indexes=[['subject_key']]) }}
-- Whose funnels are computed in this run: those whose matches change, those whose time has run out since, and everyone
-- for a funnel that is new. A subject is a customer, minus a visitor, or a session of minus a visitor.
with changed as (
    select
        condition_id,
        person_key,
        visitor_key,
        started_at
    from {{ computed('step_match') }}
    {%- if not is_full() %}
    union all
    select
        condition_id,
        person_key,
        visitor_key,
        started_at
    from {{ replaced('step_match', 'condition_id, person_key, visitor_key, started_at') }} as gone
    {%- endif %}
),

touched as (
    select
        f.funnel_id,
        f.count_by,
        m.person_key,
        m.visitor_key,
        m.started_at
    from changed as m
    inner join {{ ref('int_funnel__condition') }} as c on m.condition_id = c.condition_id
    inner join {{ ref('int_funnel__definition') }} as f on c.funnel_id = f.funnel_id
    {%- if not is_full() %}
    where not f.is_new
    union all
    select
        f.funnel_id,
        f.count_by,
        m.person_key,
        m.visitor_key,
        m.started_at
    from {{ ref('int_funnel__definition') }} as f
    inner join {{ ref('int_funnel__condition') }} as c on f.funnel_id = c.funnel_id
    inner join {{ ref('step_match') }} as m on c.condition_id = m.condition_id
    where f.is_new
    {%- endif %}
)

select
    funnel_id,
    case when count_by in ('person', 'attempt') then person_key else -visitor_key end as subject_key,
    case when count_by = 'session' then started_at else timestamptz '1970-01-01 00:00+00' end as session_at
from touched
where
    case when count_by in ('person', 'attempt') then person_key else visitor_key end is not null
    and (count_by <> 'session' or started_at is not null)
group by 1, 2, 3
{%- if not is_full() %}
union
select
    e.funnel_id,
    e.subject_key,
    e.session_at
from {{ published('funnel_entry') }} as e
inner join {{ ref('int_funnel__definition') }} as f on e.funnel_id = f.funnel_id and e.version = f.version
where e.status = 'open' and e.open_until < {{ watermark() }}
{%- endif %}
