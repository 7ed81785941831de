select purpose
from (
    values ({{ [service] | where_in }}), ({{ [complaint] | where_in }}), ({{ [incident] | where_in }}), ({{ [request] | where_in }})
) as choice (purpose)
