{{ config(key=['export_id', 'export_no'], replaces='false') }}
-- A run without anything to tell leaves no row of an audience that is exported whenever something changes.
with changed as (
    select
        c.export_id,
        count(*) filter (where c.op = 'I') as inserted,
        count(*) filter (where c.op = 'U') as updated,
        count(*) filter (where c.op = 'D') as deleted
    from {{ ref('int_audience__change') }} as c
    where not c.is_held_out
    group by c.export_id
)

select
    s.export_id,
    s.next_no as export_no,
    s.version,
    {{ watermark() }} as as_of,
    n.candidates,
    n.without_consent,
    n.suppressed,
    n.fatigued,
    m.held_out,
    m.members,
    coalesce(c.inserted, 0) as inserted,
    coalesce(c.updated, 0) as updated,
    coalesce(c.deleted, 0) as deleted
from {{ ref('int_audience__scope') }} as s
left join changed as c on s.export_id = c.export_id
left join lateral (
    select
        count(*) as candidates,
        count(*) filter (where d.left_out = 'consent') as without_consent,
        count(*) filter (where d.left_out = 'suppression') as suppressed,
        count(*) filter (where d.left_out = 'fatigue') as fatigued
    from {{ ref('int_audience__candidate') }} as d
    where d.export_id = s.export_id
) as n on s.is_due
cross join lateral (
    select
        count(*) filter (where a.is_held_out) as held_out,
        count(*) filter (where not a.is_held_out) as members
    from {{ ref('audience_member') }} as a
    where a.export_id = s.export_id
) as m
where
    (s.is_due and (not s.is_each_run or s.is_retired or s.next_no = 1))
    or exists (select from {{ ref('int_audience__change') }} as h where h.export_id = s.export_id)
{%- if is_full() and is_published('audience_export') %}
union all
select
    p.export_id,
    p.export_no,
    p.version,
    p.as_of,
    p.candidates,
    p.without_consent,
    p.suppressed,
    p.fatigued,
    p.held_out,
    p.members,
    p.inserted,
    p.updated,
    p.deleted
from {{ published('audience_export') }} as p
{%- endif %}
