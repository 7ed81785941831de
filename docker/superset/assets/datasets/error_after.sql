{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %}

select
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    coalesce(name.label, met.node) as visited_page,
    case when met.other_visits is null then {{ [other] | where_in }} else met.error_code end as error_met,
    met.place_no,
    met.visits,
    met.exits,
    met.other_visits,
    met.other_exits,
    met.difference_low,
    met.difference_high,
    met.extra_exits
from scope
cross join lateral (
    select *
    from mart.paths_after_error(
        least_visits => 20, top_k => 20,
        from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
        segment => scope.segment_id, device_type => scope.device_type
    ) with ordinality as found (
        node, error_code, visits, exits, exit_share, other_visits, other_exits, other_exit_share, difference,
        difference_low, difference_high, extra_exits, place_no
    )
) as met
left join name on met.node = name.node
