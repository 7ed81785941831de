-- The audiences, and which of them this run exports: those whose time has come by the watermark, those that are new or
-- changed, and those that are retired and still have members.
with applied as (
    select
        definition_id as export_id,
        version,
        content
    from {{ source('config', 'definition') }}
    where kind = 'audiences' and retired_at is null
),

latest as (
    {%- if is_published('audience_export') %}
    select distinct on (export_id)
        export_id,
        version,
        export_no,
        as_of,
        members
    from {{ published('audience_export') }}
    order by export_id asc, export_no desc
    {%- else %}
    select
        null::text as export_id,
        null::integer as version,
        null::integer as export_no,
        null::timestamptz as as_of,
        null::bigint as members
    where false
    {%- endif %}
)

select
    coalesce(a.export_id, l.export_id) as export_id,
    coalesce(a.version, l.version) as version,
    a.export_id is null as is_retired,
    {{ watermark() }} is not null
    and (
        l.export_no is null
        or a.version is distinct from l.version
        or a.content ->> 'schedule' = 'run'
        or raw.period_start(a.content ->> 'schedule', {{ business_date(watermark()) }})
        > raw.period_start(a.content ->> 'schedule', {{ business_date('l.as_of') }})
    ) as is_due,
    a.content ->> 'schedule' = 'run' as is_each_run,
    coalesce(l.export_no, 0) + 1 as next_no,
    a.content ->> 'purpose' as purpose,
    a.content ->> 'segment' as segment_id,
    a.content ->> 'rule' as rule_id,
    a.content ->> 'funnel' as funnel_id,
    (a.content ->> 'step')::integer as step_no,
    a.content ->> 'outcome' as outcome,
    a.content ->> 'cohort' as cohort_id,
    (a.content ->> 'start')::date as cohort_start,
    (a.content ->> 'age')::integer as age,
    (a.content ->> 'returned')::boolean as has_returned,
    {{ watermark() }} - make_interval(secs => (a.content ->> 'looks_back_seconds')::double precision) as since,
    array(select jsonb_array_elements_text(a.content -> 'columns')) as attribute_names,
    array(select jsonb_array_elements_text(a.content -> 'suppress')) as suppressed_segments,
    (a.content ->> 'cap_times')::integer as cap_times,
    make_interval(secs => (a.content ->> 'cap_seconds')::double precision) as cap_window,
    (a.content ->> 'hold_out')::double precision as hold_out
from applied as a
full join latest as l on a.export_id = l.export_id
where a.export_id is not null or l.members > 0
