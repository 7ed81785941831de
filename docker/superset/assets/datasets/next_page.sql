{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %},

{% include '_visited.sql' %},

{% set anchors = filter_values('anchor') -%}
chosen as (
    select
        node as code,
        case kind when 'transaction' then kind else 'page' end as kind,
        min(label || ' · ' || case when kind = 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end)
            as anchor
    from mart.node
    where
        {% if anchors -%}
        label || ' · ' || case when kind = 'transaction' then {{ [transaction] | where_in }} else {{ [page] | where_in }} end
        in {{ anchors | where_in }}
        {%- elif only_anchors -%}
        case kind when 'transaction' then kind else 'page' end || ':' || node in {{ [only_anchors[0]] | where_in }}
        {%- else -%}
        kind <> 'transaction'
        and node = (
            select most.node
            from (select node_id from visited order by visits desc, node_id limit 1) as top
            inner join mart.node as most on top.node_id = most.node_id
        )
        {%- endif %}
    group by 1, 2
)

select
    chosen.anchor,
    scope.session_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    coalesce(name.label, onward.to_node) as to_page,
    onward.visits,
    -- when somebody left who went nowhere else is not known
    case when onward.to_node <> '이탈' then onward.median_dwell_seconds end as median_dwell_seconds
from chosen
cross join scope
cross join lateral mart.paths_next(
    node => chosen.code, top_k => 15, kind => chosen.kind,
    from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
    segment => scope.segment_id, device_type => scope.device_type
) as onward
left join name on onward.to_node = name.node
