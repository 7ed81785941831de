-- The steps of a funnel are counts of its entries: step 1 has them all, the last one the converted; whoever takes a
-- step went on, dropped out or still may go on; nobody takes a step that is not optional without the one before.
with scope as (select * from build.int_funnel__date),

definition as (
    select
        d.definition_id as funnel_id,
        s.step_no::integer as step_no,
        coalesce((s.step ->> 'optional')::boolean, false) as is_optional,
        s.step_no = jsonb_array_length(d.content -> 'steps') as is_last
    from config.definition as d
    cross join lateral jsonb_array_elements(d.content -> 'steps') with ordinality as s (step, step_no)
    where d.kind = 'funnels' and d.retired_at is null
),

entry as (
    select
        e.funnel_id,
        e.entry_date,
        e.breakdown,
        count(*) as entries,
        count(*) filter (where e.status = 'converted') as converted
    from scope as s
    cross join lateral (
        select * from next.funnel_entry as o
        where o.funnel_id = s.funnel_id and o.entry_date = s.entry_date
        offset 0
    ) as e
    group by e.funnel_id, e.entry_date, e.breakdown
),

step as (
    select
        t.funnel_id,
        t.entry_date,
        t.breakdown,
        t.step_no,
        t.entered,
        t.converted + t.dropped + t.still_open as accounted,
        d.is_last,
        not d.is_optional and t.entered > min(t.entered) filter (where not d.is_optional) over (
            partition by t.funnel_id, t.entry_date, t.breakdown
            order by t.step_no
            rows between unbounded preceding and 1 preceding
        ) as is_risen
    from next.funnel_step as t
    inner join scope as s on t.funnel_id = s.funnel_id and t.entry_date = s.entry_date
    left join definition as d on t.funnel_id = d.funnel_id and t.step_no = d.step_no
)

select
    coalesce(t.funnel_id, e.funnel_id) as funnel_id,
    coalesce(t.entry_date, e.entry_date) as entry_date,
    coalesce(t.breakdown, e.breakdown) as breakdown,
    t.step_no,
    t.entered,
    t.accounted,
    e.entries,
    e.converted
from step as t
full join entry as e on t.funnel_id = e.funnel_id and t.entry_date = e.entry_date and t.breakdown = e.breakdown
where
    t.funnel_id is null
    or e.funnel_id is null
    or t.is_last is null
    or t.entered <> t.accounted
    or (t.step_no = 1 and t.entered <> e.entries)
    or (t.is_last and t.entered <> e.converted)
    or coalesce(t.is_risen, false)
order by funnel_id, entry_date, breakdown, step_no
