{{ config(indexes=[['subject_key']]) }}
-- depends_on: {{ ref('consent') }} {{ ref('int_trigger__action') }}
-- Whose hits are computed in this run, by rule: those whose matches change, those whose time has run out since, and
-- everyone for a rule that is new.
with changed as (
    select
        condition_id,
        person_key
    from {{ computed('step_match') }}
    {%- if not is_full() %}
    union all
    select
        condition_id,
        person_key
    from {{ replaced('step_match', 'condition_id, person_key') }} as gone
    {%- endif %}
)

select
    r.rule_id,
    m.person_key as subject_key
from changed as m
inner join {{ ref('int_detection__condition') }} as c on m.condition_id = c.condition_id
inner join {{ ref('int_detection__rule') }} as r on c.rule_id = r.rule_id
{%- if not is_full() %}
where not r.is_new
union
select
    n.rule_id,
    a.person_key as subject_key
from {{ ref('int_detection__rule') }} as n
inner join {{ ref('int_detection__condition') }} as k on n.rule_id = k.rule_id
inner join {{ ref('step_match') }} as a on k.condition_id = a.condition_id
where n.is_new
union
select
    p.rule_id,
    p.subject_key
from {{ published('detection_pending') }} as p
inner join {{ ref('int_detection__rule') }} as w on p.rule_id = w.rule_id and p.version = w.version
where p.due_at < {{ watermark() }}
union
-- what may be done about their hits depends on their consent
select
    a.rule_id,
    c.customer_key as subject_key
from {{ ref('int_trigger__action') }} as a
inner join {{ computed('consent') }} as c on a.purpose = c.purpose
{%- else %}
group by 1, 2
{%- endif %}
