-- Whose path goes through a page is whom a funnel, a segment or a cohort counts for that page: the sessions that the
-- run computes, once by their paths and once by the matches of conditions that ask for a page and for nothing else.
-- Of many sessions some hundred thousand: those of every n-th visitor.
with sample as (
    select greatest(1, count(*) / 100000)::integer as every
    from build.session_fact
),

node as (
    select
        k.condition_id,
        k.node_id,
        count(distinct k.action_id) = (select count(*) from raw.action) as is_whole
    from build.int_step__node as k
    inner join raw.node as n on k.node_id = n.node_id
    where not k.is_new and n.kind <> 'transaction'
    group by k.condition_id, k.node_id
),

-- a condition that asks for the kind of action too is not about paths
definition as (
    select
        n.condition_id,
        string_agg(raw.node_char(n.node_id), '') as node_chars
    from node as n
    group by n.condition_id
    having bool_and(n.is_whole)
),

of_path as (
    select
        d.condition_id,
        count(*) as sessions,
        sum(s.visitor_key::numeric * extract(epoch from s.started_at)) as checksum
    from build.session_fact as s
    inner join definition as d on translate(s.path, d.node_chars, '') <> s.path
    where s.visitor_key % (select every from sample) = 0
    group by d.condition_id
),

of_match as (
    select
        m.condition_id,
        count(*) as sessions,
        sum(m.visitor_key::numeric * extract(epoch from m.started_at)) as checksum
    from (
        select distinct
            o.condition_id,
            o.visitor_key,
            o.started_at
        from build.step_match as o
        where
            o.source_rank = 0
            and o.visitor_key % (select every from sample) = 0
            and o.condition_id in (select d.condition_id from definition as d)
    ) as m
    group by m.condition_id
)

select
    coalesce(p.condition_id, m.condition_id) as condition_id,
    coalesce(p.sessions, 0) as sessions_of_paths,
    coalesce(m.sessions, 0) as sessions_of_matches
from of_path as p
full join of_match as m on p.condition_id = m.condition_id
where (p.sessions, p.checksum) is distinct from (m.sessions, m.checksum)
order by condition_id
