-- The applied rules: one row each. A step has as many slots as it must, or may, happen; first_slot has one more at the
-- end. is_new: the published hits do not follow this version.
-- reach: things that count and lie further apart have nothing to do with each other: no match holds both, and none
-- waits, or cools down, until the other. null: without end. defer: how long after its last event a hit may wait.
select
    d.definition_id as rule_id,
    row_number() over (order by d.definition_id) as rule_no,
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
    make_interval(secs => w.defer) as defer,
    case
        when not (d.content ->> 'session_end')::boolean
            then make_interval(
                secs => least((d.content ->> 'within_seconds')::double precision, s.step_seconds)
                + w.defer
                + coalesce((d.content ->> 'cooldown_seconds')::double precision, 0)
            )
    end as reach,
    s.steps,
    s.is_optional,
    s.at_least,
    s.at_most,
    s.step_windows,
    s.first_slot,
    s.slots,
    array(
        select c.condition_id from {{ ref('int_detection__condition') }} as c
        where d.definition_id = c.rule_id and c.place >= 0
    ) as condition_ids,
    {{ is_new_definition() }} as is_new
from {{ source('config', 'definition') }} as d
cross join lateral (
    select
        count(*)::integer as steps,
        array_agg(e.is_optional order by e.step_no) as is_optional,
        array_agg(e.gte order by e.step_no) as at_least,
        array_agg(e.lte order by e.step_no) as at_most,
        array_agg(make_interval(secs => e.within_seconds) order by e.step_no) as step_windows,
        -- a bound for all of them only if each has one
        case
            when bool_and(e.within_seconds is not null) filter (where e.is_bound) is not false
                then coalesce(sum(e.within_seconds) filter (where e.is_bound), 0)
        end as step_seconds,
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
            not (j.step ->> 'is_optional')::boolean and (j.step_no > 1 or (j.step ->> 'gte')::integer > 1) as is_bound,
            sum(coalesce((j.step ->> 'lte')::integer, (j.step ->> 'gte')::integer)) over (
                order by j.step_no
            ) as slots_until
        from jsonb_array_elements(d.content -> 'steps') with ordinality as j (step, step_no)
    ) as e
) as s
cross join lateral (
    select
        coalesce(
            (d.content ->> 'absence_seconds')::double precision, (d.content ->> 'dwell_seconds')::double precision, 0
        ) as defer
) as w
where d.kind = 'rules' and d.retired_at is null
