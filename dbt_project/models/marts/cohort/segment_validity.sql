{{ config(
    key=['segment_id', 'customer_key', 'valid_from'],
    replaces=[
        "exists (select from build.int_segment__customer as t where t.customer_key = m.customer_key)",
        is_of_retired('segments', 'segment_id'),
    ],
    indexes=[['customer_key']],
) }}
-- depends_on: {{ ref('int_segment__customer') }} {{ ref('int_segment__range') }}
{% set found = segments().rows %}
{% for segment in found -%}
select
    '{{ segment[0] }}' as segment_id,
    {{ segment[1] }} as version,
    h.customer_key,
    lower(p.valid) as valid_from,
    upper(p.valid) as valid_to
from (
    select
        t.customer_key,
        tstzmultirange(tstzrange(t.known_from, null)) * {{ segment[2] }} as holds
    from {{ ref('int_segment__customer') }} as t
    left join {{ ref('int_segment__range') }} as r on t.customer_key = r.customer_key
    where t.known_from is not null
    group by t.customer_key, t.known_from
) as h
cross join lateral unnest(h.holds) as p (valid)
{% if not loop.last %}
union all
{% endif %}
{%- else -%}
select
    null::text as segment_id,
    null::integer as version,
    t.customer_key,
    t.known_from as valid_from,
    t.known_from as valid_to
from {{ ref('int_segment__customer') }} as t
where false
{%- endfor %}
