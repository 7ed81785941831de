{{ config(
    key=['funnel_id', 'entry_date', 'segment_id', 'breakdown', 'step_no'],
    replaces="exists (
        select from build.int_funnel__date as d where d.funnel_id = m.funnel_id and d.entry_date = m.entry_date
    )",
) }}
with taken as (
    select
        e.funnel_id,
        e.version,
        e.entry_date,
        e.breakdown,
        e.status,
        s.step_no,
        s.step_name,
        s.next_step_no is null or coalesce(e.step_times[s.next_step_no] is not null, false) as goes_on,
        case
            when s.step_no > 1
                then extract(
                    epoch from e.step_times[s.step_no]
                    - coalesce(
                        e.step_times[s.step_no - 1],
                        (select max(t.moment) from unnest(e.step_times[1:s.step_no - 1]) as t (moment))
                    )
                )::double precision
        end as seconds,
        -- looked up row by row: a join would compare every step with every transaction
        case
            when s.has_amount
                then (
                    select f.amount_krw
                    from {{ ref('transaction_fact') }} as f
                    where f.row_id = e.step_rows[s.step_no]
                )
        end as amount_krw,
        e.step_times[s.step_no] is not null as is_taken,
        e.is_tie_decided
    from {{ ref('int_funnel__date') }} as d
    {{ look_up(ref('funnel_entry'), 'e', 'd.funnel_id = e.funnel_id and d.entry_date = e.entry_date') }}
    inner join {{ ref('int_funnel__step') }} as s on e.funnel_id = s.funnel_id
)

select
    t.funnel_id,
    t.version,
    t.entry_date,
    'all' as segment_id,
    t.breakdown,
    t.step_no,
    t.step_name,
    count(*) filter (where t.is_taken) as entered,
    count(*) filter (where t.is_taken and t.goes_on) as converted,
    count(*) filter (where t.is_taken and not t.goes_on and t.status = 'dropped') as dropped,
    count(*) filter (where t.is_taken and not t.goes_on and t.status = 'open') as still_open,
    percentile_cont(0.5) within group (order by t.seconds) filter (where t.is_taken) as median_seconds,
    coalesce(
        array_agg(t.seconds order by t.seconds) filter (where t.is_taken and t.seconds is not null),
        '{}'
    ) as step_seconds,
    coalesce(sum(t.amount_krw) filter (where t.is_taken), 0)::numeric(38, 2) as amount_krw,
    count(*) filter (where t.is_taken and t.is_tie_decided) as tie_decided
from taken as t
group by t.funnel_id, t.version, t.entry_date, t.breakdown, t.step_no, t.step_name
