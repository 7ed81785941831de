-- The filters as arguments of the functions: dates come parsed from get_time_filter (`period` and, where it acts,
-- `segments` are set by whoever includes this), every other value goes through where_in, which quotes it, and has to be
-- one that is known. The result carries the columns of `scope` past the filter that Superset itself puts around the query.
{% include '_filters.sql' %}
with scope as (
    select
        period.from_date,
        period.to_date,
        coalesce(period.from_date, period.to_date) as session_date,
        channels.channel,
        domains.domain,
        devices.device_type,
        segments.segment_id,
        segments.segment
    from (
        select
            {% if period.from_expr %}{{ period.from_expr }}{% else %}null{% endif %}::date as from_date,
            {% if period.to_expr %}{{ period.to_expr }}{% else %}null{% endif %}::date - 1 as to_date
    ) as period
    cross join (
        {% if channels -%}
        select distinct channel from mart.session_daily where channel in {{ channels | where_in }}
        {%- else -%}
        select null::text as channel
        {%- endif %}
    ) as channels
    cross join (
        {% if domains -%}
        select distinct domain from mart.session_daily where domain in {{ domains | where_in }}
        {%- else -%}
        select null::text as domain
        {%- endif %}
    ) as domains
    cross join (
        {% if devices -%}
        select distinct device_type from mart.session_daily where device_type in {{ devices | where_in }}
        {%- else -%}
        select null::text as device_type
        {%- endif %}
    ) as devices
    cross join (
        {% if segments -%}
        select named.segment_id, named.segment
        from (
            select segment_id, case {{ [language] | where_in }} when 'ko' then name_ko else name_en end as segment
            from mart.segment
        ) as named
        where named.segment in {{ segments | where_in }}
        {%- else -%}
        select null::text as segment_id, null::text as segment
        {%- endif %}
    ) as segments
),

-- A code may name a page and a transaction; one label per code keeps the sums right.
name as (
    select node, min(label) as label
    from mart.node
    group by node
    union all
    select * from (values ('유입', {{ [entry] | where_in }}), ('이탈', {{ [exit] | where_in }}), ('기타', {{ [other] | where_in }})) as word
)
