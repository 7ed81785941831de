{{ config(materialized='mart_view') }}
-- Scores of different rules of one day add up like independent doubts, so that 100 is never exceeded. A department sees
-- what its own rules add up to.
select
    d.customer_id,
    d.detection_date,
    round((100 * (1 - exp(sum(ln(1 - d.score / 100.0)))))::numeric)::integer as score,
    array_agg(d.label_ko order by d.score desc, d.rule_id asc) as reasons,
    array_agg(d.rule_id order by d.score desc, d.rule_id asc) as rule_ids
from (
    select distinct
        h.customer_id,
        h.detection_date,
        h.rule_id,
        least(h.score, 99) as score,
        n.label_ko
    from {{ ref('detection') }} as h
    inner join {{ ref('definition') }} as n on h.rule_id = n.definition_id and n.kind = 'rules'
    where h.score is not null and h.customer_id is not null and raw.may_see_rows(n.owner)
) as d
group by d.customer_id, d.detection_date
