-- The anchor, where it is an error; otherwise the most frequent error.
{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% set anchors = filter_values('anchor', remove_filter=True) -%}
{% include '_scope.sql' %},

{% include '_anchor.sql' %},

chosen as (
    select known.code
    from known
    where known.kind = 'error' and {% if anchors %}known.anchor in {{ anchors | where_in }}{% else %}false{% endif %}
),

asked as (
    select code from chosen
    union all
    (
        select error_code
        from mart.error_page
        where error_code <> '(none)' and not exists (select from chosen)
        group by error_code
        order by sum(errors) desc, error_code
        limit 1
    )
)

select
    null::text as anchor,
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    asked.code as error_chosen,
    (
        select string_agg(coalesce(name.label, step.node), ' → ' order by step.step_no)
        from string_to_table(way.path, ' > ') with ordinality as step (node, step_no)
        left join name on step.node = name.node
    ) as way,
    way.place_no,
    way.sessions,
    way.share,
    way.all_sessions,
    way.share_of_all
from asked
cross join scope
cross join lateral (
    select *
    from mart.paths_to_error(
        error => asked.code, steps => 2, least_sessions => 20, top_k => 20,
        from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
        segment => scope.segment_id, device_type => scope.device_type
    ) with ordinality as found (path, sessions, share, all_sessions, share_of_all, error_rate, lift, place_no)
) as way
