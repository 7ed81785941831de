{{ config(key=['inflow_key']) }}
-- depends_on: {{ ref('int_run__event') }}
-- The first pattern that matches the referrer decides; a campaign mark outweighs the referrer.
select
    i.inflow_key,
    i.utm_source,
    i.utm_medium,
    i.utm_campaign,
    i.referrer_domain,
    case
        when i.utm_medium ~* '^(cpc|ppc|paid.*|display|banner|cpm|retargeting)$' then 'paid'
        when i.utm_medium ~* '^(e-?mail|push|sms|lms|kakao.*|alimtalk|message)$' then 'message'
        when i.utm_source is not null or i.utm_campaign is not null then 'campaign'
        when i.referrer_domain is not null then coalesce(p.inflow_channel, 'referral')
        else 'direct'
    end as inflow_channel
from {{ source('raw', 'inflow') }} as i
left join lateral (
    select r.inflow_channel
    from {{ ref('referrer_pattern') }} as r
    where i.referrer_domain ~* r.pattern
    order by r.priority
    limit 1
) as p on true
{%- if not is_full() %}
where i.inflow_key in (select e.inflow_key from {{ new_lines('event') }} as e)
{%- endif %}
