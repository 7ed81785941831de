-- The hits that are reported: those that come too soon after another of the same rule and person are left out.
select
    w.*,
    row_number() over () as hit_no
from {{ ref('int_detection__walked') }} as w
inner join build.detection_cool('{{ ref("int_detection__rule") }}', '{{ ref("int_detection__walked") }}') as c
    on
        w.rule_id = c.rule_id
        and w.subject_key = c.subject_key
        and w.hold_value = c.hold_value
        and w.row_id = c.row_id
