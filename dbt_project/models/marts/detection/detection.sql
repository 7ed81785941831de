{{ config(
    key=['rule_id', 'subject_key', 'row_id'],
    replaces=[
        "exists (
            select from build.int_detection__subject as s
            where
                s.rule_id = m.rule_id and s.subject_key = m.subject_key
                and m.detected_at >= s.from_at and m.detected_at <= s.until_at
        )",
        is_of_retired('rules', 'rule_id'),
    ],
    indexes=[['rule_id', 'detection_date'], ['customer_id'], ['visitor_id']],
) }}
{% set sources = [
    ('screen', 'clickstream', 'event_id'),
    ('transaction', 'transactions', 'transaction_id'),
    ('consultation', 'consultations', 'consultation_id'),
    ('campaign', 'campaign_sends', 'send_id'),
    ('subscription', 'subscriptions', 'subscription_id'),
    ('survey', 'survey_responses', 'response_id'),
] %}
-- By itself, so that only evidence is looked up, not everything that counted.
with item as materialized (
    select
        h.hit_no,
        t.item_no,
        split_part(t.item, ':', 1)::integer as step_no,
        m.matched_at,
        m.visitor_key,
        m.source_rank,
        m.row_id
    from {{ ref('int_detection__hit') }} as h
    cross join lateral unnest(h.taken) with ordinality as t (item, item_no)
    inner join {{ ref('int_detection__match') }} as m on split_part(t.item, ':', 2)::bigint = m.match_no
    where h.status = 'fires'
),

named as (
    select
        i.*,
        (
            array[
                {%- for source, _, _ in sources %}
                '{{ source }}'{{ ',' if not loop.last }}
                {%- endfor %}
            ]
        )[i.source_rank + 1] as source,
        -- looked up one by one: a join would read all that ever happened
        case i.source_rank
            {%- for _, table, id in sources %}
            when {{ loop.index0 }}
                then (select r.{{ id }} from {{ source('raw', table) }} as r where r.row_id = i.row_id)
            {%- endfor %}
        end as id
    from item as i
),

told as (
    select
        hit_no,
        jsonb_object_agg(step_no, matched_at order by item_no) as done,
        jsonb_agg(jsonb_build_object('step', step_no, 'source', source, 'id', id) order by item_no) as evidence,
        (array_agg(visitor_key order by item_no desc) filter (where visitor_key is not null))[1] as visitor_key,
        max(row_id >> 32)::integer as file_id
    from named
    group by hit_no
),

goal as (
    select
        h.hit_no,
        min(m.matched_at) as goal_at
    from {{ ref('int_detection__hit') }} as h
    inner join {{ ref('int_detection__rule') }} as r on h.rule_id = r.rule_id
    inner join {{ ref('int_detection__condition') }} as g on h.rule_id = g.rule_id and g.place = -1
    {{ look_up(ref('step_match'), 'm', 'm.condition_id = g.condition_id and m.person_key = h.subject_key'
        ' and m.matched_at >= h.detected_at and m.matched_at <= h.detected_at + r.goal_window') }}
    where row(m.matched_at, m.source_rank, m.row_id) > row(h.detected_at, h.due_rank, h.due_row)
    group by h.hit_no
),

found as (
    select
        h.rule_id,
        r.version,
        h.subject_key,
        h.row_id,
        c.customer_id,
        v.visitor_id,
        h.started_at,
        h.detected_at,
        {{ business_date('h.detected_at') }} as detection_date,
        array(
            select (t.done ->> n.step_no::text)::timestamptz
            from generate_series(1, r.steps) as n (step_no)
            order by n.step_no
        ) as step_times,
        t.evidence,
        r.kind,
        h.is_censored,
        r.score,
        g.goal_at,
        t.file_id
    from {{ ref('int_detection__hit') }} as h
    inner join {{ ref('int_detection__rule') }} as r on h.rule_id = r.rule_id
    left join told as t on h.hit_no = t.hit_no
    left join goal as g on h.hit_no = g.hit_no
    left join {{ source('raw', 'customer') }} as c on h.subject_key = c.customer_key
    left join {{ source('raw', 'visitor') }} as v on coalesce(t.visitor_key, -h.subject_key) = v.visitor_key
    where h.status = 'fires'
)

select
    f.*,
    {% if is_published('detection') -%}
    coalesce(
        m.revision
        + (
            (f.detected_at, f.step_times, f.evidence) is distinct from (m.detected_at, m.step_times, m.evidence)
        )::integer,
        1
    )
    {%- else -%}
    1
    {%- endif %} as revision
from found as f
{%- if is_published('detection') %}
left join {{ published('detection') }} as m
    on f.rule_id = m.rule_id and f.version = m.version and f.subject_key = m.subject_key and f.row_id = m.row_id
{%- endif %}
