-- Channel, domain and device as chosen in the filters, which act in the query and not around it. Of channels and devices
-- people choose names (`names` in sources.yml): `channels` and `devices` are the values behind them.
{% set shown_channels = filter_values('channel', remove_filter=True) -%}
{% set shown_devices = filter_values('device_type', remove_filter=True) -%}
{% set domains = filter_values('domain', remove_filter=True) -%}
{% set channels = channel_words | selectattr(1, 'in', shown_channels) | map('first') | list
    + shown_channels | reject('in', channel_words | map('last') | list) | list -%}
{% set devices = device_words | selectattr(1, 'in', shown_devices) | map('first') | list
    + shown_devices | reject('in', device_words | map('last') | list) | list -%}
