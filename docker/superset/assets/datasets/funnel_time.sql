{% include '_filters.sql' %}
{% include '_members.sql' %},

{% include '_funnel.sql' %}

select
    entry.entry_date,
    entry.funnel_id,
    funnel.owner,
    funnel.funnel,
    null::text as channel,
    null::text as domain,
    null::text as device_type,
    {% if segments %}member.segment{% else %}null::text{% endif %} as segment,
    spent.bucket_no,
    case {{ [language] | where_in }} when 'ko' then spent.bucket_ko else spent.bucket_en end as bucket,
    spent.seconds,
    1 as people
from mart.funnel_entry as entry
inner join asked as funnel on entry.funnel_id = funnel.funnel_id and entry.version = funnel.version
{% if channels or domains or devices -%}
inner join mart.session as session on entry.visitor_key = session.visitor_key and entry.started_at = session.started_at
{%- endif %}
{% if segments -%}
cross join lateral mart.entry_customer(
    funnel.count_by, entry.subject_key, entry.visitor_key, entry.started_at
) as person
inner join member on person.customer_key = member.customer_key
{%- endif %}
cross join lateral (
    select date_part('epoch', entry.step_times[funnel.steps] - entry.step_times[1]) as seconds
) as took
cross join lateral (
    select
        bucket.bucket_no,
        bucket.bucket_ko,
        bucket.bucket_en,
        took.seconds
    from (
        values
        (1, 60, '1분 이내', 'Within 1 min'),
        (2, 300, '5분 이내', 'Within 5 min'),
        (3, 900, '15분 이내', 'Within 15 min'),
        (4, 3600, '1시간 이내', 'Within 1 hour'),
        (5, 86400, '1일 이내', 'Within 1 day'),
        (6, 604800, '7일 이내', 'Within 7 days'),
        (7, null, '7일 넘게', 'More than 7 days')
    ) as bucket (bucket_no, up_to, bucket_ko, bucket_en)
    where took.seconds <= bucket.up_to or (took.seconds is not null and bucket.up_to is null)
    order by bucket.bucket_no
    limit 1
) as spent
where
    entry.status = 'converted'
    {% if channels %}and session.channel in {{ channels | where_in }}{% endif %}
    {% if domains %}and session.domain in {{ domains | where_in }}{% endif %}
    {% if devices %}and session.device_type in {{ devices | where_in }}{% endif %}
