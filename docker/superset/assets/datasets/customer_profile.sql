{% set customers = filter_values('customer_id') -%}
{% set purposes = filter_values('purpose') -%}
select
    profile.customer_id,
    case profile.grade {% for value, name in grade_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else profile.grade end as grade,
    case profile.investment_propensity {% for value, name in propensity_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else profile.investment_propensity end as investment_propensity,
    case profile.gender {% for value, name in gender_words %}when {{ [value] | where_in }} then {{ [name] | where_in }} {% endfor %}else profile.gender end as gender,
    profile.birth_year,
    profile.region,
    profile.joined_on,
    profile.sessions,
    profile.first_seen_at,
    profile.last_seen_at,
    {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null::text{% endif %} as purpose
from mart.customer_profile(
    viewer => {{ [current_username()] | where_in }},
    customer => {% if customers %}{{ [customers[0]] | where_in }}{% else %}null{% endif %},
    purpose => {% if purposes %}{{ [purposes[0]] | where_in }}{% else %}null{% endif %}
) as profile
