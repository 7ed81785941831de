{% set cohorts = filter_values('cohort') -%}
select
    cohort.owner,
    case {{ [language] | where_in }} when 'ko' then cohort.name_ko else cohort.name_en end as cohort,
    retention.cohort_start,
    to_char(retention.cohort_start, 'YYYY-MM-DD') as started,
    retention.age,
    case {{ [language] | where_in }} when 'ko' then aged.number || aged.unit else aged.unit || ' ' || aged.number end as age_shown,
    retention.size,
    retention.returned,
    retention.is_complete
from mart.retention as retention
inner join mart.cohort as cohort on retention.cohort_id = cohort.cohort_id and retention.version = cohort.version
cross join lateral (
    select
        lpad(retention.age::text, 2, '0') as number,
        case cohort.period
            when 'day' then {{ [day] | where_in }}
            when 'week' then {{ [week] | where_in }}
            else {{ [month] | where_in }}
        end as unit
) as aged
{% if not cohorts -%}
-- Two cohorts do not add up: the one that most people start, which is the first on the list.
where retention.cohort_id = (
    select cohort_id
    from mart.retention
    where age = 0
    group by cohort_id
    order by sum(size) desc, cohort_id
    limit 1
)
{%- endif %}
