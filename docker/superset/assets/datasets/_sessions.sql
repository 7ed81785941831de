-- The sessions that the filters leave; `period`, `channels`, `domains` and `devices` are set by whoever includes this, and
-- `segments` by _members.sql, which comes before.
mart.session as session
{% if segments %}inner join member on session.customer_key = member.customer_key{% endif %}
where
    true
    {% if period.from_expr %}and session.session_date >= {{ period.from_expr }}{% endif %}
    {% if period.to_expr %}and session.session_date < {{ period.to_expr }}{% endif %}
    {% if channels %}and session.channel in {{ channels | where_in }}{% endif %}
    {% if domains %}and session.domain in {{ domains | where_in }}{% endif %}
    {% if devices %}and session.device_type in {{ devices | where_in }}{% endif %}
