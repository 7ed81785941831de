"""Reports on funnels, cohorts, segments and rules drawn up on the spot, as on those that are applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from journeymart.analysis import AnalysisError, Result, Scope, calling, explained
from journeymart.analysis.drafts import KINDS, PUBLISHED, AnyDefinition, drafted
from journeymart.analysis.hits import hits
from journeymart.analysis.peers import peers
from journeymart.db import connect, holds
from journeymart.definitions.cohorts import Cohort, CohortsFile
from journeymart.definitions.funnels import Funnel, FunnelsFile
from journeymart.definitions.loader import DefinitionError, Document, read_document, suggestion
from journeymart.definitions.rules import Rule, parse_rules
from journeymart.definitions.segments import Segment, SegmentsFile
from journeymart.settings import Settings

Definition = TypeVar("Definition", Funnel, Cohort, Segment, Rule)


def funnel(
    settings: Settings,
    path: Path,
    scope: Scope,
    *,
    breakdown_by: str | None = None,
    segments: Sequence[str] | None = None,
    funnel_id: str | None = None,
) -> Result:
    """The rows of mart.funnel() for a funnel of a file that need not be applied.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has several funnels and none is named.
    """
    document = read_document("funnels", path)
    definition = _chosen(document, document.parse(FunnelsFile).funnels, funnel_id)
    with drafted(settings, [definition]) as connection:
        return _funnel_report(connection, definition, scope, breakdown_by, segments)


def funnel_as(
    settings: Settings, document: Document, scope: Scope, peer: str, *, funnel_id: str | None, is_published: bool
) -> Result:
    """A funnel as another tool would count it: a row for each policy that differs there, with the numbers once that one
    is changed too; what cannot be said here; and at last their numbers. `is_published`: it is asked of the mart, so the
    file must say what is published.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has no such funnel or not the published one.
    """
    definition = _chosen(document, document.parse(FunnelsFile).funnels, funnel_id)
    semantics = peers()[peer]
    changes, refused = semantics.changes(definition, scope)
    drafts = [
        item.model_copy(update={"id": f"{definition.id}-{number}"})
        for number, item in enumerate([definition, *(change.funnel for change in changes)])
    ]
    with drafted(settings, drafts) as connection:
        if is_published:
            _require_published(connection, definition, document)
        counts = [_entered(_funnel_report(connection, draft, scope)) for draft in drafts]
    rows: list[tuple[Any, ...]] = [(0, "as defined", None, None, *counts[0], None, None, None)]
    for number, change in enumerate(changes, start=1):
        difference = counts[number][0][-1] - counts[number - 1][0][-1]
        told = (change.key, change.ours, change.theirs, *counts[number], difference, change.why, change.source)
        rows.append((number, *told))
    rows += [
        (None, item.key, item.ours, item.theirs, None, None, None, f"not reproduced: {item.why}", item.source)
        for item in (*refused, *semantics.not_reproduced(definition))
    ]
    total = counts[-1][0][-1] - counts[0][0][-1]
    rows.append((None, f"as {semantics.name}", None, None, *counts[-1], total, None, None))
    return Result(["no", "policy", "ours", "theirs", "entered", "converted", "change", "why", "source"], rows)


def _entered(report: Result) -> tuple[list[int], list[int]]:
    """Entered and converted of each step."""
    steps = report.records()
    return [step["entered"] for step in steps], [step["converted"] for step in steps]


def _require_published(connection: psycopg.Connection, definition: Funnel, document: Document) -> None:
    if not _is_published(connection, definition):
        raise AnalysisError(
            f"{document.path} defines {definition.id} otherwise than it is published; ask for it with --definition"
        )


def _is_published(connection: psycopg.Connection, definition: AnyDefinition) -> bool:
    return holds(
        connection,
        f"select exists (select {PUBLISHED} where p.kind = %(kind)s and p.definition_id = %(id)s"
        " and d.content = %(content)s)",
        {"kind": KINDS[type(definition)], "content": Jsonb(definition.content()), "id": definition.id},
    )


def _funnel_report(
    connection: psycopg.Connection,
    definition: Funnel,
    scope: Scope,
    breakdown_by: str | None = None,
    segments: Sequence[str] | None = None,
) -> Result:
    """mart.funnel() of a funnel that has been drafted on this connection."""
    arguments = scope.arguments() | {
        "entries": "pg_temp.funnel_entry",
        "funnel_id": definition.id,
        "definition": Jsonb(definition.content()),
        "breakdown_by": breakdown_by,
        "segments": segments and list(segments),
    }
    return Result.of(connection.execute(calling("funnel_report", arguments), arguments))


def retention(
    settings: Settings,
    path: Path,
    scope: Scope,
    *,
    as_of: date | None = None,
    instead: Mapping[str, Any],
    cohort_id: str | None = None,
) -> Result:
    """The rows of mart.retention_cells() for a cohort of a file that need not be applied; `instead` replaces its keys,
    where it has values.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has several cohorts and none is named.
    """
    document = read_document("cohorts", path)
    try:
        definition = _chosen(document, document.parse(CohortsFile).cohorts, cohort_id).replaced(instead)
    except ValueError as error:
        raise AnalysisError(str(error)) from error
    with drafted(settings, [definition]) as connection:
        return Result.of(
            connection.execute(
                "select r.* from pg_temp.cohort as c cross join lateral mart.retention_report('pg_temp.cohort_day',"
                " 'pg_temp.step_match', row(c.*)::mart.cohort, %(from_date)s, %(to_date)s, %(as_of)s, %(segment)s,"
                " %(channel)s, %(domain)s, %(device_type)s) as r",
                scope.arguments() | {"as_of": as_of},
            )
        )


def require_published(settings: Settings, document: Document, definition: Cohort | Segment) -> None:
    """Raise AnalysisError if what is published of a definition of a file does not follow it."""
    with connect("jm_builder", settings=settings) as connection, explained():
        if not _is_published(connection, definition):
            raise AnalysisError(
                f"what is published of {definition.id} does not follow {document.path}: apply it, and run"
            )


def segment(
    settings: Settings,
    draft: Path | Segment,
    scope: Scope,
    *,
    as_of: date | None = None,
    segment_id: str | None = None,
) -> Result:
    """The rows of mart.segment_members() for a segment that need not be applied, or one of a file of such.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has several segments and none is named.
    """
    if isinstance(draft, Path):
        document = read_document("segments", draft)
        definition = _chosen(document, document.parse(SegmentsFile).segments, segment_id)
    else:
        definition = draft
    with drafted(settings, [definition]) as connection:
        published = connection.execute(
            f"select d.definition_id, d.content {PUBLISHED} where p.kind = 'funnels'"
        ).fetchall()
        if reason := definition.unusable_report(dict(published)):
            raise AnalysisError(reason)
        arguments = scope.arguments()
        also_in = arguments.pop("segment")
        return Result.of(
            connection.execute(
                """
                select c.customer_id
                from pg_temp.segment_validity as v
                inner join raw.customer as c using (customer_key)
                cross join mart.segment_moment(%(as_of)s) as m (moment)
                where
                    v.valid_from <= m.moment and (v.valid_to is null or v.valid_to > m.moment)
                    and (
                        %(also_in)s::text is null
                        or v.customer_key in (select mart.segment_customers(%(also_in)s, %(as_of)s))
                    )
                    and (
                        not %(of_sessions)s
                        or v.customer_key in (
                            select mart.session_customers(
                                %(from_date)s, %(to_date)s, %(channel)s, %(domain)s, %(device_type)s
                            )
                        )
                    )
                order by c.customer_id
                """,
                arguments | {"as_of": as_of, "also_in": also_in, "of_sessions": {*arguments.values()} != {None}},
            )
        )


def rule(
    settings: Settings,
    path: Path,
    scope: Scope,
    *,
    summary: bool = False,
    rule_id: str | None = None,
    labels: Sequence[str] | None = None,
) -> Result:
    """What a rule of a file would have found: its hits, as mart.detection has those of applied rules, or their numbers.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has several rules and none is named.
    """
    document = read_document("rules", path)
    definition = _chosen(document, parse_rules(document), rule_id)
    # by itself: of dates that are computed the planner knows nothing, and would look through all evidence for every hit
    detections: LiteralString = "(select * from pg_temp.detection offset 0)"
    with drafted(settings, [definition]) as connection:
        return hits(connection, detections, definition.id, scope, summary=summary, labels=labels)


def live_rule(
    settings: Settings, rule_id: str, scope: Scope, *, summary: bool = False, labels: Sequence[str] | None = None
) -> Result:
    """The same of an applied rule, as published. Raises AnalysisError if there is no such rule or segment."""
    with connect("jm_dashboard", settings=settings) as connection, explained():
        known = [row[0] for row in connection.execute("select definition_id from mart.definition where kind = 'rules'")]
        if rule_id not in known:
            raise AnalysisError(f"no rule {rule_id} is applied{suggestion(rule_id, known)}")
        return hits(connection, "mart.detection", rule_id, scope, summary=summary, labels=labels)


def _chosen(document: Document, definitions: Sequence[Definition], wanted: str | None) -> Definition:
    known = {item.id: item for item in definitions}
    if not known:
        raise DefinitionError([f"{document.path}: has no {document.kind}"])
    if wanted is None and len(known) > 1:
        raise AnalysisError(f"{document.path} has several {document.kind}; name one with --id: {', '.join(known)}")
    chosen = wanted or next(iter(known))
    if chosen not in known:
        raise AnalysisError(f"{document.path} has no {document.kind[:-1]} {chosen}{suggestion(chosen, known)}")
    return known[chosen]
