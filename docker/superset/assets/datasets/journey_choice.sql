with {% include '_journeys.sql' %}

select journey, -place as nearness
from journeys
