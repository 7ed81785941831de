-- With a channel, domain or device: what happened in such sessions (a consultation is in none); with a segment: what its
-- members did.
{% set period = get_time_filter('kpi_date') -%}
{% set segments = filter_values('segment') -%}
{% include '_scope.sql' %}

select
    counted.kpi_date,
    scope.channel,
    scope.domain,
    scope.device_type,
    scope.segment,
    case {{ [language] | where_in }} when 'ko' then named.label_ko else named.label_en end as kpi,
    counted.value,
    counted.base
from mart.definition as named
cross join scope
cross join lateral mart.kpi(
    kpi => named.definition_id, from_date => scope.from_date, to_date => scope.to_date,
    channel => scope.channel, domain => scope.domain, segment => scope.segment_id, device_type => scope.device_type
) as counted
where named.kind = 'kpis'
