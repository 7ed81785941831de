select
    happened_on,
    {% include '_source.sql' %},
    days_late,
    rows_loaded
from mart.arrival
