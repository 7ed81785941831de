-- Whose funnels are computed in this run: those whose matches change, and those whose time has run out since.
with changed as (
    select
        person_key,
        visitor_key
    from {{ computed('step_match') }}
    {%- if not is_full() %}
    union all
    select
        person_key,
        visitor_key
    from {{ replaced('step_match', 'person_key, visitor_key') }} as gone
    {%- endif %}
)

select
    f.funnel_id,
    case f.count_by when 'person' then c.person_key else -c.visitor_key end as subject_key
from changed as c
cross join {{ ref('int_funnel__definition') }} as f
where case f.count_by when 'person' then c.person_key else -c.visitor_key end is not null
{%- if not is_full() %}
union
select
    e.funnel_id,
    e.subject_key
from {{ published('funnel_entry') }} as e
inner join {{ ref('int_funnel__definition') }} as f on e.funnel_id = f.funnel_id
where
    e.status = 'open'
    and e.entered_at + f.time_window < (select watermark_at from build.run_scope)
{%- else %}
group by 1, 2
{%- endif %}
