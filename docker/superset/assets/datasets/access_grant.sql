select
    granted.user_name as account,
    granted.full_name,
    case granted.role
        {% for id, label in role_names %}when {{ [id] | where_in }} then {{ [label] | where_in }} {% endfor %}
        else granted.role
    end as role_shown,
    granted.reason,
    to_char(granted.until_on, 'YYYY-MM-DD') as until_shown,
    granted.until_on,
    granted.requested_by,
    granted.requested_at,
    to_char(granted.requested_at, 'YYYY-MM-DD HH24:MI') as requested_shown,
    granted.approved_by,
    granted.ended_by,
    to_char(granted.ended_at, 'YYYY-MM-DD HH24:MI') as ended_shown,
    granted.ended_at is null and granted.approved_by is null as is_waiting,
    granted.ended_at is null and granted.approved_by is not null as is_held,
    case
        when granted.ended_at is null and granted.approved_by is null then {{ [waiting] | where_in }}
        when granted.ended_at is null then {{ [held] | where_in }}
        when granted.approved_by is null and granted.ended_by is null then {{ [unanswered] | where_in }}
        when granted.approved_by is null then {{ [refused] | where_in }}
        when granted.ended_by is null then {{ [expired] | where_in }}
        else {{ [revoked] | where_in }}
    end as state
from mart.access_grants() as granted
