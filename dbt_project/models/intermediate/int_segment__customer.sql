-- Customers whose segments are computed in this run, and since when they are known: those with anything that changes
-- and that segments ask for, or that may be the first that is known of them; everyone when a segment is new.
-- depends_on: {{ ref('int_session__touched') }} {{ ref('transaction_fact') }} {{ ref('customer') }}
-- depends_on: {{ ref('step_match') }} {{ ref('funnel_entry') }} {{ ref('detection') }} {{ ref('int_segment__leaf') }}
with touched as (
    {%- if is_full() %}
    select customer_key from {{ source('raw', 'customer') }}
    {%- else %}
    select p.customer_key
    from (
        select
            customer_key,
            min(happened_at) as first_at,
            bool_or(is_asked) as is_asked
        from (
            select
                customer_key,
                started_at as happened_at,
                -- for the way it takes, or for whose it is that entered a funnel in it
                (
                    select coalesce(bool_or(l.pattern is not null or l.funnel_id is not null), false)
                    from {{ ref('int_segment__leaf') }} as l
                ) as is_asked
            from {{ changed_sessions() }} as changed
            {%- for transactions in [
                computed('transaction_fact'), replaced('transaction_fact', 'customer_key, transacted_at')
            ] %}
            union all
            select
                t.customer_key,
                t.transacted_at as happened_at,
                false as is_asked
            from {{ transactions }} as t
            {%- endfor %}
            {%- for matches in [
                computed('step_match'), replaced('step_match', 'person_key, matched_at, condition_id')
            ] %}
            union all
            select
                m.person_key as customer_key,
                m.matched_at as happened_at,
                m.condition_id in (
                    select unnest(array[l.condition_id, l.after_condition_id]) from {{ ref('int_segment__leaf') }} as l
                ) as is_asked
            from {{ matches }} as m
            {%- endfor %}
        ) as changed
        where customer_key > 0
        group by customer_key
    ) as p
    where
        p.is_asked
        -- who had a session before all of it is known since then or longer
        or coalesce({{ first_of('session_fact', 'started_at', 'm.customer_key = p.customer_key') }} >= p.first_at, true)
    union
    select customer_key from {{ computed('customer') }}
    union
    -- of whom nothing is known any more
    select customer_key from {{ replaced('customer', 'customer_key') }} as gone
    union
    select
        -- a session that changes hands is among those above
        case
            when e.subject_key > 0 then e.subject_key
            else (
                select s.customer_key
                from {{ ref('session_fact') }} as s
                where s.visitor_key = e.visitor_key and s.started_at = e.started_at
            )
        end as customer_key
    from (
        select
            funnel_id,
            subject_key,
            visitor_key,
            started_at
        from {{ computed('funnel_entry') }}
        union all
        select
            funnel_id,
            subject_key,
            visitor_key,
            started_at
        from {{ replaced('funnel_entry', 'funnel_id, subject_key, visitor_key, started_at') }} as gone
    ) as e
    where e.funnel_id in (select l.funnel_id from {{ ref('int_segment__leaf') }} as l)
    union
    select h.subject_key
    from (
        select
            rule_id,
            subject_key
        from {{ computed('detection') }}
        union all
        select
            rule_id,
            subject_key
        from {{ replaced('detection', 'rule_id, subject_key') }} as gone
    ) as h
    where h.rule_id in (select l.rule_id from {{ ref('int_segment__leaf') }} as l)
    union
    select customer_key from {{ source('raw', 'customer') }}
    where
        exists (
            select from {{ source('config', 'definition') }} as d
            where d.kind = 'segments' and d.retired_at is null and {{ is_new_definition() }}
        )
    {%- endif %}
)

select
    t.customer_key,
    least(
        {{ first_of('session_fact', 'started_at', 'm.customer_key = t.customer_key') }},
        {{ first_of('transaction_fact', 'transacted_at', 'm.customer_key = t.customer_key') }},
        {{ first_of('step_match', 'matched_at', 'm.person_key = t.customer_key') }},
        (
            select min(u.valid_from)::timestamp at time zone '{{ session_policy().time_zone }}'
            from {{ ref('customer') }} as u
            where u.customer_key = t.customer_key
        )
    ) as known_from
from touched as t
where t.customer_key > 0
