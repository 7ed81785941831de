-- The applied funnels: one row each. is_new: the published numbers do not follow this version.
-- is_plain: of entries after which nothing that counts follows in time only the first matters. longest: what counts and
-- lies further apart has nothing to do with each other; null: without end. first_window: how long an entry waits,
-- and for what: the next step that is not optional, what may come before it, and exclusions.
select
    d.definition_id as funnel_id,
    row_number() over (order by d.definition_id) as funnel_no,
    d.version,
    d.content ->> 'entry' as entry,
    d.content ->> 'order' as step_order,
    d.content ->> 'count_by' as count_by,
    d.content ->> 'exclusion_mode' as exclusion_mode,
    make_interval(secs => (d.content ->> 'window_seconds')::double precision) as time_window,
    jsonb_array_length(d.content -> 'hold') > 0 as is_held,
    d.content -> 'breakdown' <> 'null' as is_broken_down,
    (d.content #>> '{breakdown,as_of_step}')::integer as breakdown_step,
    jsonb_array_length(d.content -> 'steps') as steps,
    s.is_optional,
    s.step_windows,
    x.exclusion_from,
    x.exclusion_to,
    d.content ->> 'order' = 'ordered'
    and d.content ->> 'entry' <> 'latest'
    and d.content ->> 'count_by' = 'person'
    and jsonb_array_length(d.content -> 'hold') = 0
    and (x.exclusion_from is null or d.content ->> 'exclusion_mode' = 'end_attempt') as is_plain,
    least(make_interval(secs => (d.content ->> 'window_seconds')::double precision), s.longest_step) as longest,
    least(make_interval(secs => (d.content ->> 'window_seconds')::double precision), s.next_window) as first_window,
    ((1::bigint << s.next_step) - 2) | (-1::bigint << 32) as next_bits,
    {{ is_new_definition() }} as is_new
from {{ source('config', 'definition') }} as d
cross join lateral (
    select
        array_agg((e.step ->> 'optional')::boolean order by e.step_no) as is_optional,
        array_agg(make_interval(secs => (e.step ->> 'window_seconds')::double precision) order by e.step_no)
            as step_windows,
        case
            when bool_and(e.step -> 'window_seconds' <> 'null') filter (where e.step_no > 1)
                then make_interval(
                    secs => max((e.step ->> 'window_seconds')::double precision) filter (where e.step_no > 1)
                )
        end as longest_step,
        coalesce(
            min(e.step_no) filter (where e.step_no > 1 and not (e.step ->> 'optional')::boolean), count(*)
        )::integer as next_step,
        make_interval(
            secs => (
                array_agg((e.step ->> 'window_seconds')::double precision order by e.step_no)
                filter (where e.step_no > 1 and not (e.step ->> 'optional')::boolean)
            )[1]
        ) as next_window
    from jsonb_array_elements(d.content -> 'steps') with ordinality as e (step, step_no)
) as s
cross join lateral (
    select
        array_agg((e.exclusion ->> 'from_step')::integer order by e.exclusion_no) as exclusion_from,
        array_agg((e.exclusion ->> 'to_step')::integer order by e.exclusion_no) as exclusion_to
    from jsonb_array_elements(d.content -> 'exclusions') with ordinality as e (exclusion, exclusion_no)
) as x
where d.kind = 'funnels' and d.retired_at is null
