-- The people behind one number of mart.funnel(): who entered the step, and went on (converted), did not (dropped) or
-- still may (still_open). `outcome` entered: all of them. customer_id: who they are, or whose session it is; null if
-- not known.
create or replace function mart.funnel_people(
    funnel_id text, step integer, outcome text default 'entered', from_date date default null,
    to_date date default null, of_breakdown text default null,
    channel text default null, domain text default null, segment text default null,
    device_type text default null
)
returns table (
    subject_id text, entered_at timestamptz, step_reached integer, status text, step_at timestamptz, breakdown text,
    customer_id text
)
language plpgsql stable security definer rows 1000
set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    definition constant jsonb := mart.funnel_definition(funnel_people.funnel_id);
    steps constant jsonb := definition -> 'steps';
    next_step integer;
begin
    if funnel_people.outcome not in ('entered', 'converted', 'dropped', 'still_open') then
        raise exception 'outcome must be entered, converted, dropped or still_open' using errcode = '22023';
    end if;
    if definition is null then
        return;
    end if;
    if funnel_people.step not between 1 and jsonb_array_length(steps) then
        raise exception 'the funnel has steps 1 to %', jsonb_array_length(steps) using errcode = '22023';
    end if;
    select min(s.step_no)
    into next_step
    from jsonb_array_elements(steps) with ordinality as s (item, step_no)
    where s.step_no > funnel_people.step and not (s.item ->> 'optional')::boolean;
    return query
    select
        e.subject_id, e.entered_at, e.step_reached, e.status, e.step_times[funnel_people.step], e.breakdown, c.customer_id
    from mart.funnel_selected(
        funnel_people.funnel_id, definition ->> 'count_by', funnel_people.from_date, funnel_people.to_date,
        funnel_people.channel, funnel_people.domain, funnel_people.segment, funnel_people.device_type
    ) as e
    cross join lateral mart.entry_customer(
        definition ->> 'count_by', e.subject_key, e.visitor_key, e.started_at
    ) as p
    left join raw.customer as c on c.customer_key = p.customer_key
    where
        (funnel_people.of_breakdown is null or e.breakdown = funnel_people.of_breakdown)
        and e.step_times[funnel_people.step] is not null
        and case
            when funnel_people.outcome = 'entered' then true
            when next_step is null or e.step_times[next_step] is not null then funnel_people.outcome = 'converted'
            when e.status = 'open' then funnel_people.outcome = 'still_open'
            else funnel_people.outcome = 'dropped'
        end
    order by e.entered_at, e.subject_id, e.attempt_no;
end
$$;
revoke execute on function mart.funnel_people(
    text, integer, text, date, date, text, text, text, text, text
) from public;
grant execute on function mart.funnel_people(
    text, integer, text, date, date, text, text, text, text, text
) to jm_dashboard;
