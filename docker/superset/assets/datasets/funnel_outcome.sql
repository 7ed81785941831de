select outcome
from (values ({{ [dropped] | where_in }}), ({{ [converted] | where_in }}), ({{ [still_open] | where_in }}), ({{ [entered] | where_in }})) as choice (outcome)
