"""Funnels, cohorts, segments and rules drawn up on the spot: the models that compute defined ones, run over the mart.

Nothing is written twice: the SQL is that of dbt_project, rendered so that what is computed goes to temporary tables and
what it is computed from is schema mart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, LiteralString, TypeVar

import psycopg
from jinja2 import StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment
from psycopg import sql
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from journeymart.analysis import AnalysisError, Result, Scope
from journeymart.analysis.peers import peers
from journeymart.db import connect
from journeymart.definitions.cohorts import Cohort, CohortsFile
from journeymart.definitions.conditions import Condition
from journeymart.definitions.funnels import Funnel, FunnelsFile
from journeymart.definitions.loader import DefinitionError, Document, read_document, suggestion
from journeymart.definitions.rules import Rule, parse_rules
from journeymart.definitions.segments import Segment, SegmentsFile
from journeymart.errors import NotPublishedError
from journeymart.settings import Settings

AnyDefinition = Funnel | Cohort | Segment | Rule
Definition = TypeVar("Definition", Funnel, Cohort, Segment, Rule)
KINDS: dict[type[AnyDefinition], str] = {Funnel: "funnels", Cohort: "cohorts", Segment: "segments", Rule: "rules"}
FUNNEL_MODELS = (
    "intermediate/int_funnel__definition",
    "intermediate/int_funnel__condition",
    "intermediate/int_step__node",
    "marts/journey/step_match",
    "intermediate/int_funnel__subject",
    "intermediate/int_funnel__attempt",
    "marts/journey/funnel_entry",
)
COHORT_MODELS = (
    "intermediate/int_step__node",
    "marts/journey/step_match",
    "marts/cohort/cohort",
    "intermediate/int_cohort__condition",
    "marts/cohort/cohort_day",
)
SEGMENT_MODELS = (
    "intermediate/int_step__node",
    "marts/journey/step_match",
    "intermediate/int_segment__leaf",
    "intermediate/int_segment__customer",
    "intermediate/int_segment__range",
    "marts/cohort/segment_validity",
)
RULE_MODELS = (
    "intermediate/int_detection__condition",
    "intermediate/int_detection__rule",
    "intermediate/int_step__node",
    "marts/journey/step_match",
    "intermediate/int_detection__subject",
    "intermediate/int_detection__match",
    "intermediate/int_detection__walked",
    "intermediate/int_detection__hit",
    "marts/detection/detection",
)
# Read once. No worker may read a temporary table, so that events would be read by one process; and hits are mostly
# wanted without their evidence, which is then not looked up.
VIEWS = ("int_step__node", "detection")
# Millions of matches are read several times; PostgreSQL takes as much of it as there are temporary tables.
TEMP_BUFFERS = "512MB"
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
_PUBLISHED: LiteralString = (
    "from mart.definition as p inner join config.definition as d using (kind, definition_id, version)"
)
_MACROS = ("conditions", "run")
# of dbt's or about a run; everything else in those files is what it is for dbt
_REPLACED = ("conditions", "is_full", "session_policy", "computed", "watermark", "is_published")


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
    with _drafted(settings, [definition], FUNNEL_MODELS) as connection:
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
    with _drafted(settings, drafts, FUNNEL_MODELS) as connection:
        if is_published:
            _require_published(connection, definition, document)
        counts = [_entered(_funnel_report(connection, draft, scope), len(draft.steps)) for draft in drafts]
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


def _entered(report: Result, steps: int) -> tuple[list[int], list[int]]:
    """Entered and converted of each step; who is in nothing has no rows."""
    found = {row["step_no"]: row for row in report.records()}
    return tuple(  # type: ignore[return-value]
        [found[step][name] if step in found else 0 for step in range(1, steps + 1)] for name in ("entered", "converted")
    )


def _require_published(connection: psycopg.Connection, definition: Funnel, document: Document) -> None:
    is_same = connection.execute(
        f"select d.content = %s {_PUBLISHED} where p.kind = 'funnels' and p.definition_id = %s",
        (Jsonb(definition.content()), definition.id),
    ).fetchone()
    if is_same != (True,):
        raise AnalysisError(
            f"{document.path} defines {definition.id} otherwise than it is published; ask for it with --definition"
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
    names = sql.SQL(", ").join(
        sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
    )
    return _result(connection.execute(sql.SQL("select * from mart.funnel_report({})").format(names), arguments))


def retention(
    settings: Settings,
    path: Path,
    scope: Scope,
    *,
    as_of: date | None = None,
    instead: Mapping[str, Any] | None = None,
    cohort_id: str | None = None,
) -> Result:
    """The rows of mart.retention_cells() for a cohort of a file that need not be applied; `instead` replaces its keys.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has several cohorts and none is named.
    """
    document = read_document("cohorts", path)
    definition = _replaced(_chosen(document, document.parse(CohortsFile).cohorts, cohort_id), instead or {})
    with _drafted(settings, [definition], COHORT_MODELS) as connection:
        return _result(
            connection.execute(
                "select r.* from pg_temp.cohort as c cross join lateral mart.retention_report('pg_temp.cohort_day',"
                " 'pg_temp.step_match', row(c.*)::mart.cohort, %(from_date)s, %(to_date)s, %(as_of)s, %(segment)s,"
                " %(channel)s, %(domain)s, %(device_type)s) as r",
                scope.arguments() | {"as_of": as_of},
            )
        )


def published_cohort(settings: Settings, document: Document, cohort_id: str, instead: Mapping[str, Any]) -> Cohort:
    """A cohort of a file whose reports are those that are published; `instead` replaces its keys.

    Raises AnalysisError if what is published follows another definition.
    """
    definition = _chosen(document, document.parse(CohortsFile).cohorts, cohort_id)
    with connect("jm_dashboard", settings=settings) as connection:
        published = connection.execute(
            "select start_condition_id, return_condition_id, entry, period, mode, ages, brackets from mart.cohort"
            " where cohort_id = %s",
            (cohort_id,),
        ).fetchone()
    content = definition.content()
    wanted = tuple(content[key] for key in ("start", "return", "entry", "period", "mode", "ages", "brackets"))
    if published != wanted:
        raise AnalysisError(f"what is published of {cohort_id} does not follow {document.path}: apply it, and run")
    return _replaced(definition, instead)


def _replaced(definition: Cohort, instead: Mapping[str, Any]) -> Cohort:
    if not instead:
        return definition
    content = definition.model_dump(by_alias=True, mode="json", exclude_none=True) | dict(instead)
    if content["mode"] != "bracket" and "brackets" not in instead:  # they go with their mode, as in mart.retention_plan
        del content["brackets"]
    try:
        return Cohort.model_validate(content)
    except ValidationError as error:
        messages = (item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise AnalysisError("; ".join(messages)) from error


def segment(
    settings: Settings,
    drafted: Path | Segment,
    scope: Scope,
    *,
    as_of: date | None = None,
    segment_id: str | None = None,
) -> Result:
    """The rows of mart.segment_members() for a segment that need not be applied, or one of a file of such.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has several segments and none is named.
    """
    if isinstance(drafted, Path):
        document = read_document("segments", drafted)
        definition = _chosen(document, document.parse(SegmentsFile).segments, segment_id)
    else:
        definition = drafted
    with _drafted(settings, [definition], SEGMENT_MODELS) as connection:
        published = connection.execute(
            f"select d.definition_id, d.content {_PUBLISHED} where p.kind = 'funnels'"
        ).fetchall()
        if reason := definition.unusable_funnel(dict(published)):
            raise AnalysisError(reason)
        arguments = scope.arguments()
        also_in = arguments.pop("segment")
        return _result(
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
                arguments | {"as_of": as_of, "also_in": also_in, "of_sessions": any(arguments.values())},
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
    with _drafted(settings, [definition], RULE_MODELS) as connection:
        return hits(connection, "pg_temp.detection", definition.id, scope, summary=summary, labels=labels)


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
    return _result(
        connection.execute(
            sql.SQL(query).format(relation=sql.SQL(detections), labelled=labelled, limits=sql.SQL(_OF_SCOPE)), arguments
        )
    )


def live_rule(
    settings: Settings, rule_id: str, scope: Scope, *, summary: bool = False, labels: Sequence[str] | None = None
) -> Result:
    """The same of an applied rule, as published. Raises AnalysisError if there is no such rule or segment."""
    with connect("jm_dashboard", settings=settings) as connection:
        try:
            known = [
                row[0] for row in connection.execute("select definition_id from mart.definition where kind = 'rules'")
            ]
            if rule_id not in known:
                raise AnalysisError(f"no rule {rule_id} is applied{suggestion(rule_id, known)}")
            return hits(connection, "mart.detection", rule_id, scope, summary=summary, labels=labels)
        except psycopg.DataError as error:
            raise AnalysisError(error.diag.message_primary or str(error)) from error
        except psycopg.errors.UndefinedTable as error:
            raise NotPublishedError(f"nothing has been published yet: {error.diag.message_primary}") from error


def _result(cursor: psycopg.Cursor[Any]) -> Result:
    return Result([column.name for column in cursor.description or ()], cursor.fetchall())


@contextmanager
def _drafted(
    settings: Settings, definitions: Sequence[AnyDefinition], models: Sequence[str]
) -> Iterator[psycopg.Connection]:
    """A connection in which the models of definitions of one kind are temporary tables, as of one moment."""
    with connect("jm_builder", settings=settings, temp_buffers=TEMP_BUFFERS) as connection:
        try:
            connection.execute("set transaction isolation level repeatable read")
            _compute(connection, settings, definitions, models)
            yield connection
        except psycopg.DataError as error:
            raise AnalysisError(error.diag.message_primary or str(error)) from error
        except psycopg.errors.UndefinedTable as error:
            raise NotPublishedError(f"nothing has been published yet: {error.diag.message_primary}") from error
        finally:
            connection.rollback()


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


def _compute(
    connection: psycopg.Connection, settings: Settings, definitions: Sequence[AnyDefinition], models: Sequence[str]
) -> None:
    """Fill a temporary table for each of the models."""
    connection.execute(
        "create temporary table definition on commit drop as select %s::text as kind, d.definition_id,"
        " 0 as version, d.content, null::timestamptz as retired_at"
        " from unnest(%s::text[], %s::jsonb[]) as d (definition_id, content)",
        (
            KINDS[type(definitions[0])],
            [definition.id for definition in definitions],
            [Jsonb(definition.content()) for definition in definitions],
        ),
    )
    if isinstance(definitions[0], Segment):  # it may ask for funnels that are published
        connection.execute(
            "insert into definition select d.kind, d.definition_id, d.version, d.content, null"
            f" {_PUBLISHED} where p.kind = 'funnels'"
        )
    policy = connection.execute(f"select d.content {_PUBLISHED} where p.kind = 'sessions'").fetchone()
    if policy is None:
        raise NotPublishedError("nothing has been published yet")
    project = settings.repo / "dbt_project"
    evaluated = {row[0] for row in connection.execute("select condition_id from mart.step_condition")}
    conditions = {item.condition_id: item for definition in definitions for item in definition.conditions()}
    render = _renderer(project, policy[0], definitions, conditions, models, evaluated)
    connection.execute("set local default_statistics_target = 10")  # a finer count would take longer than what it saves
    for model in models:
        name = model.rpartition("/")[2]
        statement = render((project / "models" / f"{model}.sql").read_text(encoding="utf-8"))
        if name == "step_match":
            statement = (
                sql.SQL("{} union all select m.* from mart.step_match as m where m.condition_id = any({})")
                .format(sql.SQL(statement), sorted(evaluated & conditions.keys()))
                .as_string(connection)
            )
        if name in VIEWS:
            query = sql.SQL("create temporary view {} as {}").format(sql.Identifier(name), sql.SQL(statement))
            connection.execute(query)
            continue
        connection.execute(
            sql.SQL("create temporary table {} on commit drop as {}").format(sql.Identifier(name), sql.SQL(statement))
        )
        if name == "step_match" and any(isinstance(item, Rule) and item.looks_back for item in definitions):
            connection.execute("create index on pg_temp.step_match (person_key, matched_at)")
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier(name)))


def _renderer(
    project: Path,
    policy: dict[str, Any],
    definitions: Sequence[AnyDefinition],
    known: Mapping[str, Condition],
    models: Sequence[str],
    evaluated: Collection[str],
) -> Any:
    """A function that renders the text of a model; `evaluated` are conditions whose matches the mart has."""
    computed = {model.rpartition("/")[2] for model in models} | {"definition"}

    def ref(name: str) -> str:
        return f"pg_temp.{name}" if name in computed else f"mart.{name}"

    def conditions(source: str, which: str = "known") -> list[tuple[Any, ...]]:
        if which != "known":
            return []
        return [
            (key, compiled.predicate, compiled.hold, compiled.breakdown, condition.uses[1], compiled.is_of_node)
            for key, condition in sorted(known.items())
            if key not in evaluated and (compiled := condition.compiled("mart").get(source)) is not None
        ]

    environment = _environment()

    def template(text: str) -> Template:
        return Template.from_code(environment, _compiled(text), environment.make_globals(None))

    environment.globals.update(
        config=lambda **_: "",
        ref=ref,
        computed=ref,
        source=lambda schema, table: "pg_temp.definition" if table == "definition" else f"{schema}.{table}",
        execute=True,
        is_full=lambda: True,
        session_policy=lambda: policy,
        conditions=conditions,
        segments=lambda: {
            "rows": [(item.id, 0, item.content().get("expression")) for item in definitions],
            "leaves": [
                {"predicate": None, **leaf} for item in definitions for leaf in item.content().get("leaves", ())
            ],
        },
        is_published=lambda _name: False,
        watermark=lambda: "(select w.watermark_at from mart.watermark as w)",
        **{"return": lambda value: value},
    )
    macros = "".join((project / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in _MACROS)
    for name in _REPLACED:
        macros = re.sub(rf"{{%-? macro {name}\(.*?{{%-? endmacro -?%}}", "", macros, flags=re.DOTALL)
    module = template(macros).module
    environment.globals.update((name, macro) for name, macro in vars(module).items() if not name.startswith("_"))
    return lambda text: template(text).render()


def _environment() -> SandboxedEnvironment:
    return SandboxedEnvironment(extensions=["jinja2.ext.do"], undefined=StrictUndefined, autoescape=False)


@cache
def _compiled(text: str) -> CodeType:
    """A template in Python, kept because to read one takes as long as many an answer."""
    return _environment().compile(text)
