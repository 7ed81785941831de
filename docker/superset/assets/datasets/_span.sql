-- The chosen period, and the one of the same length before it: compared_from to from_date, or nothing if data does not go
-- back to its first day. While the chosen one is not over, of the other counts what had begun by the same time, until_at.
-- `period` is set by whoever includes this.
span as (
    select
        from_date,
        to_date,
        from_date - (to_date - from_date) as before_date,
        case when first_date <= from_date - (to_date - from_date) then from_date - (to_date - from_date) else from_date end
            as compared_from,
        watermark_at - make_interval(days => to_date - from_date) as until_at
    from (
        select
            {% if period.from_expr %}{{ period.from_expr }}::date{% else %}known.first_date{% endif %} as from_date,
            {% if period.to_expr %}{{ period.to_expr }}::date{% else %}latest.watermark_at::date + 1{% endif %} as to_date,
            known.first_date,
            latest.watermark_at
        from (select min(session_date) as first_date from mart.session_daily) as known
        cross join mart.publication_latest as latest
    ) as asked
)
