-- The applied funnels: one row each. is_new: the published numbers do not follow this version.
select
    d.definition_id as funnel_id,
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
    {{ is_new_definition() }} as is_new
from {{ source('config', 'definition') }} as d
cross join lateral (
    select
        array_agg((e.step ->> 'optional')::boolean order by e.step_no) as is_optional,
        array_agg(make_interval(secs => (e.step ->> 'window_seconds')::double precision) order by e.step_no)
            as step_windows
    from jsonb_array_elements(d.content -> 'steps') with ordinality as e (step, step_no)
) as s
cross join lateral (
    select
        array_agg((e.exclusion ->> 'from_step')::integer order by e.exclusion_no) as exclusion_from,
        array_agg((e.exclusion ->> 'to_step')::integer order by e.exclusion_no) as exclusion_to
    from jsonb_array_elements(d.content -> 'exclusions') with ordinality as e (exclusion, exclusion_no)
) as x
where d.kind = 'funnels' and d.retired_at is null
