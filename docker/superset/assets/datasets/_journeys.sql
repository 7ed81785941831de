-- How far before and after is looked; null is the visit.
journeys (place, within, journey) as (
    values
    (1, null::interval, {{ [in_visit] | where_in }}), (2, '1 day', {{ [in_day] | where_in }}),
    (3, '7 days', {{ [in_week] | where_in }}), (4, '30 days', {{ [in_month] | where_in }})
)
