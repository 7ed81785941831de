-- An event id is accepted once: of the lines that share one, all but one are marked as duplicates.
-- Candidates share the 64-bit hash of the id; the id itself decides.
with scope as (select * from {files}),

candidate as (
    select event_hash
    from raw.event
    where (select is_full from build.run_scope)
    group by event_hash
    having count(*) > 1
    union all
    select event_hash
    from raw.event
    where
        not (select is_full from build.run_scope)
        and event_hash = any(  -- one walk through the index; history is not read
            array(
                select r.event_hash
                from scope as s
                cross join lateral (
                    select l.event_hash
                    from raw.event as l
                    where l.row_id between s.first_row and s.last_row
                    offset 0
                ) as r
            )
        )
    group by event_hash
    having count(*) > 1
)

select
    min(e.row_id) as row_id,
    max(e.row_id) as also_row_id,
    count(*) as accepted_lines
from (select distinct event_hash from candidate) as c
inner join raw.event as e on c.event_hash = e.event_hash
cross join lateral (
    select d.event_id
    from raw.clickstream as d
    where d.row_id = e.row_id
    limit 1
) as w
inner join raw.file as f on (e.row_id >> 32)::integer = f.file_id
where
    (f.publication_id is not null or exists (select from build.run_file as r where r.file_id = f.file_id))
    and not exists (select from build.run_gone as g where g.file_id = f.file_id)
    and not exists (select from build.run_erased as g where g.erased_row = e.row_id)
    and not exists (select from next.line_duplicate as d where d.row_id = e.row_id)
group by w.event_id
having count(*) > 1
