{{ config(key=['inflow_key']) }}
-- depends_on: {{ ref('int_run__event') }}
-- The first rule of definitions/channels.yml that holds decides.
select
    i.inflow_key,
    i.utm_source,
    i.utm_medium,
    i.utm_campaign,
    i.referrer_domain,
    case
        {%- for rule in channel_rules() %}
        when {{ rule.predicate }} then '{{ rule.id }}'
        {%- endfor %}
        when false then null
        else 'direct'
    end as inflow_channel
from {{ source('raw', 'inflow') }} as i
{%- if not is_full() %}
where i.inflow_key in (select e.inflow_key from {{ new_lines('event') }} as e)
{%- endif %}
