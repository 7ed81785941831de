{{ config(materialized='mart_view') }}
-- Every choice is there, chosen or not: a row alone would tell that somebody chose it.
with choice as (
    select
        n.definition_id as rule_id,
        n.label_ko as rule_name,
        n.label_en as rule_name_en,
        n.owner,
        p.definition_id as message_id,
        q.question_no,
        q.content ->> 'id' as question_id,
        q.content #>> '{text,ko}' as question,
        q.content #>> '{text,en}' as question_en,
        c.choice_no,
        c.content ->> 'ko' as choice,
        c.content ->> 'en' as choice_en
    from {{ ref('definition') }} as n
    inner join {{ source('config', 'definition') }} as r
        on n.kind = r.kind and n.definition_id = r.definition_id and n.version = r.version
    inner join {{ ref('definition') }} as p
        on p.kind = 'messages' and p.definition_id = r.content #>> '{action,message_id}'
    inner join {{ source('config', 'definition') }} as m
        on p.kind = m.kind and p.definition_id = m.definition_id and p.version = m.version
    cross join lateral jsonb_array_elements(m.content -> 'questions') with ordinality as q (content, question_no)
    cross join lateral (
        select
            h.choice_no,
            h.content
        from jsonb_array_elements(q.content -> 'choices') with ordinality as h (content, choice_no)
        union all
        select
            0 as choice_no,
            null as content
    ) as c
    where n.kind = 'rules' and raw.may_see_rows(n.owner)
),

answer as (
    select
        s.rule_id,
        coalesce(s.customer_id, s.visitor_id, s.response_id) as person,
        g.question_id,
        v.answer
    from {{ ref('survey_answer') }} as s
    cross join lateral
        jsonb_each(case jsonb_typeof(s.answers) when 'object' then s.answers end) as g (question_id, content)
    cross join lateral jsonb_array_elements_text(
        case jsonb_typeof(g.content) when 'array' then g.content else jsonb_build_array(g.content) end
    ) as v (answer)
),

counted as (
    select
        a.rule_id,
        q.question_id,
        coalesce(c.choice_no, 0) as choice_no,
        count(*) as responses,
        count(distinct a.person) as people
    from answer as a
    inner join choice as q on a.rule_id = q.rule_id and a.question_id = q.question_id and q.choice_no = 0
    left join choice as c
        on
            a.rule_id = c.rule_id
            and a.question_id = c.question_id
            and a.answer in (c.choice, c.choice_en)
    group by a.rule_id, q.question_id, c.choice_no
)

select
    c.rule_id,
    c.rule_name,
    c.rule_name_en,
    c.owner,
    c.message_id,
    c.question_no,
    c.question,
    c.question_en,
    c.choice_no,
    c.choice,
    c.choice_en,
    case when g.people >= 5 then g.responses end as responses
from choice as c
left join counted as g on c.rule_id = g.rule_id and c.question_id = g.question_id and c.choice_no = g.choice_no
