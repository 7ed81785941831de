-- Key numbers have no channel, domain or device: what they count may be a transaction or a consultation.
select kpi_date, case {{ [language] | where_in }} when 'ko' then label_ko else label_en end as kpi, value, base
from mart.kpi_daily
