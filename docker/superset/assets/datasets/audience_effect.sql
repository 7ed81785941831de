-- Those who were exported beside those who were held out; the difference stands with the exported.
{% set own_roles = current_user_roles() -%}
with effect as (
    select
        owner,
        export_id,
        case {{ [language] | where_in }} when 'ko' then audience_name else audience_name_en end as audience,
        is_held_out,
        customers,
        sent,
        returned,
        converted,
        still_open
    from mart.audience_effect
)

select
    own.owner,
    own.audience,
    {% if campaigns_roles | select('in', own_roles or []) | list -%}
    mart.dashboard_link({{ [campaigns] | where_in }}, jsonb_build_object('audience', own.audience), own.audience)
    {%- else -%}
    own.audience
    {%- endif %} as audience_shown,
    own.is_held_out,
    case when own.is_held_out then {{ [held_out] | where_in }} else {{ [exported] | where_in }} end as party,
    own.customers,
    own.sent,
    own.returned,
    own.converted,
    own.still_open,
    other.customers as held_out_customers,
    other.returned as held_out_returned,
    other.converted as held_out_converted,
    compared.difference,
    compared.difference_low,
    compared.difference_high
from effect as own
left join effect as other on own.export_id = other.export_id and not own.is_held_out and other.is_held_out
cross join lateral mart.share_difference(own.converted, own.customers, other.converted, other.customers) as compared
