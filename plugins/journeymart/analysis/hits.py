"""What a rule has found: its hits, or their numbers by date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

import psycopg
from psycopg import sql

from journeymart.analysis import Result, Scope

# Which hits (alias d) the scope leaves.
_OF_SCOPE: LiteralString = """
    d.detection_date >= coalesce(%(from_date)s::date, '-infinity')
    and d.detection_date <= coalesce(%(to_date)s::date, 'infinity')
    and (%(segment)s::text is null or d.subject_key in (select mart.segment_customers(%(segment)s)))
    and (
        coalesce(%(channel)s::text, %(domain)s::text, %(device_type)s::text) is null
        or exists (
            select
            from mart.session_of_line(d.row_id) as s
            where
                (%(channel)s::text is null or s.channel = %(channel)s)
                and (%(domain)s::text is null or s.domain = %(domain)s)
                and (%(device_type)s::text is null or s.device_type = %(device_type)s)
        )
    )
"""


def hits(
    connection: psycopg.Connection,
    detections: LiteralString,
    rule_id: str,
    scope: Scope,
    *,
    summary: bool,
    labels: Sequence[str] | None = None,
) -> Result:
    """Hits of a rule in a relation like mart.detection, by the scope (channel, domain and device are those of the
    session of the last event); or per date how many there are, of how many people, who of them other applied rules
    find within a week, and who reached the goal; with `labels`, the customers it should find, also how many of the
    people are among them (precision = labelled / people)."""
    if summary:
        query: LiteralString = """
            with hit as (
                select
                    d.rule_id, d.row_id, d.subject_key, d.customer_id, d.detected_at, d.detection_date, d.goal_at,
                    lag(d.detected_at) over (partition by d.subject_key order by d.detected_at, d.row_id) as last_at
                from {relation} as d
                where d.rule_id = %(rule_id)s
            ),

            also as (
                select distinct h.row_id, h.subject_key
                from hit as h
                inner join mart.detection as o on h.subject_key = o.subject_key
                where
                    o.rule_id <> h.rule_id
                    and o.detected_at >= h.detected_at - interval '7 days'
                    and o.detected_at <= h.detected_at + interval '7 days'
            )

            select
                d.detection_date, count(*) as hits, count(distinct d.subject_key) as people,
                count(distinct a.subject_key) as found_by_others,
                count(*) filter (where d.last_at > d.detected_at - interval '7 days') as again_within_week,
                count(*) filter (where d.goal_at is not null) as goal_reached {labelled}
            from hit as d
            left join also as a on d.row_id = a.row_id and d.subject_key = a.subject_key
            where {limits}
            group by d.detection_date
            order by d.detection_date
        """
    else:
        query = """
            select
                d.rule_id, d.customer_id, d.visitor_id, d.started_at, d.detected_at, d.step_times, d.evidence, d.kind,
                d.is_censored, d.score, d.goal_at
            from {relation} as d
            where d.rule_id = %(rule_id)s and {limits}
            order by d.detected_at, d.customer_id, d.visitor_id
        """
    arguments = scope.arguments() | {"rule_id": rule_id, "labels": list(labels or ())}
    labelled = sql.SQL(
        ", count(distinct d.subject_key) filter (where d.customer_id = any(%(labels)s)) as labelled"
        if labels is not None
        else ""
    )
    return Result.of(
        connection.execute(
            sql.SQL(query).format(relation=sql.SQL(detections), labelled=labelled, limits=sql.SQL(_OF_SCOPE)), arguments
        )
    )
