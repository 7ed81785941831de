{{ config(materialized='mart_view') }}
-- How long it took from what completed a hit, or from the end of what it waited for, until it was published.
select
    d.rule_id,
    n.label_ko as rule_name,
    n.label_en as rule_name_en,
    n.owner,
    d.version,
    d.detection_date,
    d.detection_date = {{ business_date('w.watermark_at') }} as is_today,
    d.detected_at,
    d.subject_key,
    case when c.content ->> 'goal' is not null then d.goal_at is not null end as has_reached_goal,
    d.detected_at + make_interval(secs => (c.content #>> '{goal,within_seconds}')::double precision) < w.watermark_at
        as is_goal_over,
    p.published_at,
    extract(epoch from p.published_at - d.detected_at)::double precision as latency_seconds
from {{ ref('detection') }} as d
cross join {{ ref('watermark') }} as w
inner join {{ ref('definition') }} as n on d.rule_id = n.definition_id and n.kind = 'rules'
inner join {{ source('config', 'definition') }} as c
    on c.kind = 'rules' and d.rule_id = c.definition_id and d.version = c.version
left join {{ source('raw', 'file') }} as f on d.file_id = f.file_id
inner join (
    select
        definition_id,
        min(applied_at) as applied_at
    from {{ source('config', 'definition') }}
    where kind = 'rules'
    group by definition_id
) as a on d.rule_id = a.definition_id
left join lateral (
    select o.published_at
    from {{ source('ops', 'publication') }} as o
    where
        o.publication_id >= f.publication_id
        and o.published_at >= a.applied_at
        and (d.kind = 'sequence' or o.watermark_at > d.detected_at)
    order by o.publication_id
    limit 1
) as p on true
where raw.may_see_rows(n.owner)
