-- Every pair from both sides, and each segment with itself, so that the picture is a full square.
with named as (
    select segment_id, members, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment
    from mart.segment
),

pair as (
    select segment_id, other_segment_id, in_both from mart.segment_overlap()
    union all
    select other_segment_id, segment_id, in_both from mart.segment_overlap()
    union all
    select segment_id, segment_id, members from named
)

select
    of_segment.segment,
    other.segment as other_segment,
    pair.in_both,
    of_segment.members
from pair
inner join named as of_segment on pair.segment_id = of_segment.segment_id
inner join named as other on pair.other_segment_id = other.segment_id
where of_segment.members > 0 and other.members > 0
