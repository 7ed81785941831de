-- The applied rules: one row each. A step has as many slots as it must, or may, happen; first_slot has one more at the
-- end. is_new: the published hits do not follow this version.
select
    d.definition_id as rule_id,
    d.version,
    d.content ->> 'order' = 'strict' as is_strict,
    d.content ->> 'after_match' as after_match,
    jsonb_array_length(d.content -> 'hold') > 0 as is_held,
    make_interval(secs => (d.content ->> 'within_seconds')::double precision) as time_window,
    make_interval(secs => (d.content ->> 'cooldown_seconds')::double precision) as cooldown,
    jsonb_array_length(d.content -> 'absence') > 0 as has_absence,
    make_interval(secs => (d.content ->> 'absence_seconds')::double precision) as absence_window,
    make_interval(secs => (d.content ->> 'dwell_seconds')::double precision) as dwell,
    (d.content ->> 'session_end')::boolean as is_session_end,
    jsonb_array_length(d.content -> 'absence') > 0
    or d.content ->> 'dwell_seconds' is not null
    or (d.content ->> 'session_end')::boolean as is_deferred,
    case
        when d.content ->> 'dwell_seconds' is not null then 'dwell'
        when jsonb_array_length(d.content -> 'absence') > 0 then 'absence'
        when (d.content ->> 'session_end')::boolean then 'session_end'
        else 'sequence'
    end as kind,
    make_interval(secs => (d.content #>> '{goal,within_seconds}')::double precision) as goal_window,
    (d.content ->> 'score')::integer as score,
    s.steps,
    s.required_bits,
    s.required_events,
    s.is_optional,
    s.at_least,
    s.at_most,
    s.step_windows,
    s.first_slot,
    s.slots,
    {{ is_new_definition() }} as is_new
from {{ source('config', 'definition') }} as d
cross join lateral (
    select
        count(*)::integer as steps,
        bit_or(1::bigint << (e.step_no - 1)::integer) filter (where not e.is_optional) as required_bits,
        sum(e.gte) filter (where not e.is_optional)::integer as required_events,
        array_agg(e.is_optional order by e.step_no) as is_optional,
        array_agg(e.gte order by e.step_no) as at_least,
        array_agg(e.lte order by e.step_no) as at_most,
        array_agg(make_interval(secs => e.within_seconds) order by e.step_no) as step_windows,
        array_agg((e.slots_until - coalesce(e.lte, e.gte) + 1)::integer order by e.step_no)
        || (max(e.slots_until) + 1)::integer as first_slot,
        max(e.slots_until)::integer as slots
    from (
        select
            j.step_no,
            (j.step ->> 'is_optional')::boolean as is_optional,
            (j.step ->> 'gte')::integer as gte,
            (j.step ->> 'lte')::integer as lte,
            (j.step ->> 'within_seconds')::double precision as within_seconds,
            sum(coalesce((j.step ->> 'lte')::integer, (j.step ->> 'gte')::integer)) over (
                order by j.step_no
            ) as slots_until
        from jsonb_array_elements(d.content -> 'steps') with ordinality as j (step, step_no)
    ) as e
) as s
where d.kind = 'rules' and d.retired_at is null
