{% set own_roles = current_user_roles() -%}
{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %},

-- Links are made once for each page, not for each of its moves.
page as materialized (
    select
        known.node,
        {% if around_roles | select('in', own_roles or []) | list -%}
        mart.dashboard_link(
            {{ [around] | where_in }},
            jsonb_build_object('anchor', known.label || ' · ' || known.kind) || {% include '_carried.sql' %},
            known.label
        )
        {%- else -%}
        known.label
        {%- endif %} as shown
    from (
        select
            node,
            min(label) as label,
            case min(kind) when 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end as kind
        from mart.node
        group by node
    ) as known
)

select
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    coalesce(source.label, path.from_node) as source,
    coalesce(target.label, path.to_node) as target,
    coalesce(source_page.shown, path.from_node) as source_shown,
    coalesce(target_page.shown, path.to_node) as target_shown,
    path.moves
from scope
cross join lateral mart.paths_moves(
    top_k => 40, from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel,
    domain => scope.domain, segment => scope.segment_id, device_type => scope.device_type
) as path
left join name as source on path.from_node = source.node
left join name as target on path.to_node = target.node
left join page as source_page on path.from_node = source_page.node
left join page as target_page on path.to_node = target_page.node
-- all other moves are no move from one place to another, and would be the thickest line
where path.from_node <> '기타'
