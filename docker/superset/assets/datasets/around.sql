-- The chosen anchor reaches the query only as a quoted literal (where_in), to be found among the known ones.
{% set own_roles = current_user_roles() -%}
{% set period = get_time_filter('session_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %},

{% include '_visited.sql' %},

{% set anchors = filter_values('anchor') -%}
{% set occurrences = filter_values('occurrence') -%}
{% set journey_names = filter_values('journey') -%}
{% set steps = filter_values('step') -%}
{% include '_anchor.sql' %},

{% include '_journeys.sql' %},

chosen as (
    select known.*, occurrence.occurrence, occurrence.occurrence_label, journeys.within, journeys.journey
    from known
    cross join journeys
    cross join (
        values
        ('first', {{ [first] | where_in }}), ('last', {{ [last] | where_in }}), ('all', {{ [all] | where_in }})
    ) as occurrence (occurrence, occurrence_label)
    where
        {% if anchors -%}
        anchor in {{ anchors | where_in }}
        {%- elif only_anchors -%}
        kind || ':' || code in {{ [only_anchors[0]] | where_in }}
        {%- else -%}
        kind = 'page'
        and code = (
            select most.node
            from (select node_id from visited order by visits desc, node_id limit 1) as top
            inner join mart.node as most on top.node_id = most.node_id
        )
        {%- endif %}
        {% if occurrences -%}
        and occurrence_label in {{ occurrences | where_in }}
        {%- else -%}
        and occurrence = 'first'
        {%- endif %}
        {% if journey_names -%}
        and journey in {{ journey_names | where_in }}
        {%- else -%}
        and within is null
        {%- endif %}
),

edge as (
    select
        chosen.anchor,
        chosen.occurrence_label as occurrence,
        chosen.occurrence = 'first' and chosen.within is null as has_people,
        chosen.journey,
        chosen.label,
        scope.session_date,
        scope.channel,
        scope.domain,
        scope.device_type,
        scope.segment,
        path.step,
        path.from_node,
        path.to_node,
        path.sessions
    from chosen
    cross join scope
    cross join lateral mart.paths_around(
        node => chosen.code,
        -- a table of one step asks for no more
        before => {% if '-1' in steps %}1{% elif '0' in steps %}0{% else %}2{% endif %},
        after => {% if '0' in steps %}1{% elif '-1' in steps %}0{% else %}2{% endif %},
        occurrence => chosen.occurrence, kind => chosen.kind,
        from_date => scope.from_date, to_date => scope.to_date, channel => scope.channel, domain => scope.domain,
        segment => scope.segment_id, device_type => scope.device_type, within => chosen.within
    ) as path
),

visit as (
    select anchor, step, from_node as node, sum(sessions) as sessions
    from edge
    where step < 0 and from_node <> '유입'
    group by anchor, step, from_node
    union all
    select anchor, step + 1, to_node, sum(sessions)
    from edge
    where step >= 0 and to_node <> '이탈'
    group by anchor, step, to_node
),

ranked as (
    select
        anchor,
        step,
        node,
        row_number() over (partition by anchor, step order by sessions desc, node) as place
    from visit
),

shown as (
    select
        ranked.anchor,
        ranked.step,
        ranked.node,
        coalesce(
            name.label, case ranked.node when '(consultation)' then {{ [consultation] | where_in }} end, ranked.node
        ) as label
    from ranked
    left join name on ranked.node = name.node
    where ranked.place <= 6
    union all
    select visit.anchor, visit.step, word.node, word.label
    from (select distinct anchor, generate_series(-2, 2) as step from edge) as visit
    cross join (select node, label from name where node in ('유입', '이탈')) as word
),

link as (
    select
        edge.*,
        source.node as source_node,
        target.node as target_node,
        case when edge.step = 0 then edge.label else coalesce(source.label, {{ [other] | where_in }}) end as source,
        case when edge.step = -1 then edge.label else coalesce(target.label, {{ [other] | where_in }}) end as target
    from edge
    left join shown as source
        on edge.anchor = source.anchor and edge.step = source.step and edge.from_node = source.node
    left join shown as target
        on edge.anchor = target.anchor and edge.step + 1 = target.step and edge.to_node = target.node
)

select
    anchor,
    occurrence,
    journey,
    session_date,
    channel,
    domain,
    device_type,
    segment,
    step,
    case when step > 0 then '+' else '' end || step || ' · ' || link.source as source,
    case when step + 1 > 0 then '+' else '' end || step + 1 || ' · ' || link.target as target,
    link.source as from_page,
    link.target as to_page,
    {% if people_roles | select('in', own_roles or []) | list -%}
    -- Of the first visit of a session only: the customers of a move are looked up by it.
    case
        when link.has_people and link.step = -1 and link.source_node is not null then mart.dashboard_link(
            {{ [people] | where_in }},
            jsonb_build_object(
                'behaviour', {{ [around] | where_in }} || ' · ' || link.anchor || ' ← -1 · ' || link.source
                || case when link.source_node <> '유입' then ' (' || link.source_node || ')' else '' end
            ) || {% include '_carried.sql' %},
            link.source
        )
        else link.source
    end as from_shown,
    case
        when link.has_people and link.step = 0 and link.target_node is not null then mart.dashboard_link(
            {{ [people] | where_in }},
            jsonb_build_object(
                'behaviour', {{ [around] | where_in }} || ' · ' || link.anchor || ' → +1 · ' || link.target
                || case when link.target_node <> '이탈' then ' (' || link.target_node || ')' else '' end
            ) || {% include '_carried.sql' %},
            link.target
        )
        else link.target
    end as to_shown,
    {%- else -%}
    link.source as from_shown,
    link.target as to_shown,
    {%- endif %}
    sum(sessions) as sessions
from link
group by
    anchor, occurrence, journey, has_people, session_date, channel, domain, device_type, segment, step,
    link.source, link.target, link.source_node, link.target_node
