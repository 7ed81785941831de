"""What a publication changes of days that had been reported before it, and why.

A day is reported once a publication has known what happened on a later one. From then on every change of its totals
(mart.daily_total) is kept, so that mart.reported() can say what readers were told at any time.
"""

from __future__ import annotations

import psycopg

from journeymart.db import exists


def remember(connection: psycopg.Connection) -> None:
    """Keep, for the rest of the transaction, the totals of reported days that publishing schema build will touch."""
    connection.execute(
        "create temporary table reported (business_date date, until date, measure text, value numeric) on commit drop"
    )
    if not exists(connection, "mart.daily_total"):  # nothing has been published yet
        return
    connection.execute(
        """
        insert into reported
        select t.business_date, p.until, d.measure, d.value
        from (
            select session_date as business_date from build.session_daily
            union
            select transaction_date from build.transaction_daily
            union
            select o.business_date from mart.daily_total as o cross join build.run_scope as s where s.is_full
        ) as t
        inner join (
            select (max(watermark_at) at time zone mart.time_zone())::date as until from ops.publication
        ) as p on t.business_date < p.until
        -- date by date: a plain join would add up all of them
        left join lateral (
            select * from mart.daily_total as o where o.business_date = t.business_date offset 0
        ) as d on true
        """
    )


def record(connection: psycopg.Connection, publication_id: int) -> None:
    """Write down what of it is another total now; to be done before the files of the run count as published."""
    connection.execute(
        """
        with changed as (
            select
                d.business_date,
                d.until,
                t.measure,
                coalesce(t.value_before, 0) as value_before,
                coalesce(t.value_after, 0) as value_after
            from (select distinct business_date, until from reported) as d
            cross join lateral (
                select measure, b.value as value_before, a.value as value_after
                from (
                    select r.measure, r.value from reported as r
                    where r.business_date = d.business_date and r.measure is not null
                ) as b
                full join (
                    select n.measure, n.value from mart.daily_total as n
                    where n.business_date = d.business_date
                    offset 0
                ) as a using (measure)
            ) as t
            where coalesce(t.value_before, 0) <> coalesce(t.value_after, 0)
        ),

        moved as (
            select f.file_id, 'late' as cause
            from build.run_file as n
            inner join raw.file as f on n.file_id = f.file_id
            where f.publication_id is null
            union
            select f.file_id, case f.status when 'expired' then 'expiry' else 'correction' end
            from build.run_gone as g
            inner join raw.file as f on g.file_id = f.file_id
            union
            select (erased_row >> 32)::integer, 'erasure' from build.run_erased
            union
            select (row_id >> 32)::integer, cause from build.run_line
        ),

        explained as (
            select m.business_date, array_agg(m.cause order by m.cause) as causes
            from (
                select c.business_date, f.cause
                from changed as c
                inner join raw.file_day as d
                    on d.happened_on between c.business_date and least(c.business_date + 1, c.until - 1)
                inner join moved as f on d.file_id = f.file_id
                union
                select c.business_date, 'rebuild' from changed as c cross join build.run_scope as s where s.is_full
            ) as m
            group by m.business_date
        )

        insert into ops.restatement (business_date, measure, publication_id, value_before, value_after, causes)
        select
            c.business_date, c.measure, %s, c.value_before, c.value_after,
            coalesce(e.causes, array['continued'])
        from changed as c
        left join explained as e using (business_date)
        """,
        (publication_id,),
    )
