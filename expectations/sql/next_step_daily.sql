-- Matches by day are counts of matches. In a full run all of them are counted again; otherwise no day that the run
-- computes may be below nothing (such rows are not published, and would hide a difference).
with counted as (
    select
        condition_id,
        count(*) as matches
    from next.step_match
    where (select is_full from build.run_scope)
    group by condition_id
),

daily as (
    select
        condition_id,
        sum(matches) as matches
    from next.step_daily
    where (select is_full from build.run_scope)
    group by condition_id
)

select
    coalesce(c.condition_id, d.condition_id) as condition_id,
    c.matches as matches_expected,
    d.matches
from counted as c
full join daily as d on c.condition_id = d.condition_id
where c.matches is distinct from d.matches
union all
select
    condition_id,
    0 as matches_expected,
    matches
from build.step_daily
where matches < 0
order by condition_id
