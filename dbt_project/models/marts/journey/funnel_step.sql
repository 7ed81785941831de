{{ config(
    key=['funnel_id', 'entry_date', 'segment_id', 'step_no'],
    replaces="exists (
        select from build.int_funnel__date as d where d.funnel_id = m.funnel_id and d.entry_date = m.entry_date
    )",
) }}
select
    s.funnel_id,
    e.version,
    e.entry_date,
    'all' as segment_id,
    s.step_no,
    s.step_name,
    count(*) filter (where e.step_reached >= s.step_no) as entered,
    count(*) filter (
        where e.step_reached > s.step_no or (e.status = 'converted' and e.step_reached = s.step_no)
    ) as converted,
    count(*) filter (where e.step_reached = s.step_no and e.status = 'dropped') as dropped,
    count(*) filter (where e.step_reached = s.step_no and e.status = 'open') as still_open,
    percentile_cont(0.5) within group (
        order by extract(epoch from e.step_times[s.step_no] - e.step_times[s.step_no - 1])
    ) filter (where e.step_reached >= s.step_no)::double precision as median_seconds
from {{ ref('int_funnel__date') }} as d
inner join {{ ref('funnel_entry') }} as e on d.funnel_id = e.funnel_id and d.entry_date = e.entry_date
inner join {{ ref('int_funnel__step') }} as s on e.funnel_id = s.funnel_id and s.step_no > 0
group by s.funnel_id, e.version, e.entry_date, s.step_no, s.step_name
