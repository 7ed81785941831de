-- What is chosen, as arguments of the functions for customers: lists of what is known of it, null for no limit. So a name
-- that is not known leads to nobody. `channels`, `domains`, `devices` and `segments` are set by whoever includes this.
    channels => {% if channels %}array(
        select distinct channel from mart.session_daily where channel in {{ channels | where_in }}
    ){% else %}null{% endif %},
    domains => {% if domains %}array(
        select distinct domain from mart.session_daily where domain in {{ domains | where_in }}
    ){% else %}null{% endif %},
    device_types => {% if devices %}array(
        select distinct device_type from mart.session_daily where device_type in {{ devices | where_in }}
    ){% else %}null{% endif %},
    segments => {% if segments %}array(
        select segment_id
        from mart.segment
        where case {{ [language] | where_in }} when 'ko' then name_ko else name_en end in {{ segments | where_in }}
    ){% else %}null{% endif %}
