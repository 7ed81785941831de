{{ config(pre_hook="{{ trigger_cap() }}") }}
-- depends_on: {{ ref('int_detection__subject') }} {{ ref('int_detection__rule') }} {{ ref('consent') }}
-- Hits of the people of this run about which something may be done: with consent, and in time after quiet hours. All of
-- them, earlier ones as well, because how often something may be done counts from one to the next.
{% set zone = session_policy().time_zone %}
with
{%- if not is_full() %}
touched as (
    select
        s.rule_id,
        s.subject_key
    from {{ ref('int_detection__subject') }} as s
    inner join {{ ref('int_trigger__action') }} as o on s.rule_id = o.rule_id
    union
    select
        h.rule_id,
        h.subject_key
    from {{ computed('detection') }} as h
    inner join {{ ref('int_detection__rule') }} as r on h.rule_id = r.rule_id and r.is_new
    union
    select
        p.rule_id,
        c.customer_key as subject_key
    from {{ ref('int_trigger__action') }} as p
    inner join (
        select
            customer_key,
            purpose
        from {{ computed('consent') }}
        union all
        select
            customer_key,
            purpose
        from {{ replaced('consent', 'customer_key, purpose') }} as gone
    ) as c on p.purpose = c.purpose
),
{% endif %}
timed as (
    select
        d.rule_id,
        d.version,
        d.subject_key,
        d.row_id,
        d.customer_id,
        d.visitor_id,
        d.detected_at,
        d.evidence,
        a.action,
        a.message_id,
        a.target_url,
        a.purpose,
        a.cap_times,
        a.cap_window,
        d.detected_at + a.expires as expires_at,
        case
            when a.quiet_from is null then d.detected_at
            when a.quiet_from <= a.quiet_to and l.moment::time >= a.quiet_from and l.moment::time < a.quiet_to
                then (l.moment::date + a.quiet_to) at time zone '{{ zone }}'
            when a.quiet_from > a.quiet_to and l.moment::time < a.quiet_to
                then (l.moment::date + a.quiet_to) at time zone '{{ zone }}'
            when a.quiet_from > a.quiet_to and l.moment::time >= a.quiet_from
                then (l.moment::date + 1 + a.quiet_to) at time zone '{{ zone }}'
            else d.detected_at
        end as show_from
    {% if is_full() -%}
    from {{ ref('detection') }} as d
    {%- else -%}
    from touched as u
    {{ look_up(ref('detection'), 'd', 'd.rule_id = u.rule_id and d.subject_key = u.subject_key') }}
    {%- endif %}
    inner join {{ ref('int_trigger__action') }} as a on d.rule_id = a.rule_id
    cross join lateral (select d.detected_at at time zone '{{ zone }}' as moment) as l
)

select *
from timed as t
where
    t.show_from < t.expires_at
    and (
        t.purpose is null
        or exists (
            select from {{ ref('consent') }} as c
            where
                c.customer_key = t.subject_key
                and c.purpose = t.purpose
                and c.is_granted
                and c.valid_from <= t.detected_at
                and c.valid_to > t.detected_at
        )
    )
