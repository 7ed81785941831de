select occurrence
from (values ({{ [first] | where_in }}), ({{ [last] | where_in }}), ({{ [all] | where_in }})) as choice (occurrence)
