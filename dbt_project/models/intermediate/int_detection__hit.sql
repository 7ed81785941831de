-- The hits that are reported: those that come too soon after another of the same rule and person are left out.
select *
from build.detection_cool('{{ ref("int_detection__rule") }}', '{{ ref("int_detection__walked") }}')
