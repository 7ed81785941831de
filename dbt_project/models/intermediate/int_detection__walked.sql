{{ config(pre_hook="{{ detection_walk() }}") }}
-- Everything the rules find for the people of this run: hits, and from where on time has not decided yet.
select *
from build.detection_walk('{{ ref("int_detection__rule") }}', '{{ ref("int_detection__match") }}')
