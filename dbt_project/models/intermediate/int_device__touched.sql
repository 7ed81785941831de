{{ config(indexes=[['visitor_key', 'login_date']]) }}
-- Devices and dates on which this run adds or withdraws an event of a customer. Empty when everything is computed anew.
select distinct
    visitor_key,
    generate_series(0, {{ business_date('last_at') }} - {{ business_date('first_at') }})
    + {{ business_date('first_at') }} as login_date
from {{ ref('int_run__stretch') }}
where customer_key is not null
