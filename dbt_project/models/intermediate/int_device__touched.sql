{{ config(indexes=[['visitor_key', 'login_date']]) }}
-- Devices and dates on which this run adds or withdraws an event of a customer. Empty when everything is computed anew.
select distinct
    visitor_key,
    {{ business_date('event_at') }} as login_date
from {{ ref('int_run__point') }}
where customer_key is not null
