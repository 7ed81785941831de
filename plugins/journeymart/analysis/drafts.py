"""The models that compute defined funnels, cohorts, segments and rules, run over the mart for drafts of such.

Nothing is written twice: the SQL is that of dbt_project, rendered so that what is computed goes to temporary tables and
what it is computed from is schema mart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import CodeType
from typing import Any, LiteralString

import psycopg
from jinja2 import StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment
from psycopg import sql
from psycopg.types.json import Jsonb

from journeymart.analysis import explained
from journeymart.db import connect
from journeymart.definitions.cohorts import Cohort
from journeymart.definitions.conditions import Condition
from journeymart.definitions.funnels import Funnel
from journeymart.definitions.rules import Rule
from journeymart.definitions.segments import Segment
from journeymart.errors import NotPublishedError
from journeymart.settings import Settings

AnyDefinition = Funnel | Cohort | Segment | Rule
KINDS: dict[type[AnyDefinition], str] = {Funnel: "funnels", Cohort: "cohorts", Segment: "segments", Rule: "rules"}
# By kind of definition, in the order in which they are computed.
MODELS: dict[str, tuple[str, ...]] = {
    "funnels": (
        "intermediate/int_funnel__definition",
        "intermediate/int_funnel__condition",
        "intermediate/int_step__node",
        "marts/journey/step_match",
        "intermediate/int_funnel__subject",
        "intermediate/int_funnel__attempt",
        "marts/journey/funnel_entry",
    ),
    "cohorts": (
        "intermediate/int_step__node",
        "marts/journey/step_match",
        "marts/cohort/cohort",
        "intermediate/int_cohort__condition",
        "marts/cohort/cohort_day",
    ),
    "segments": (
        "intermediate/int_step__node",
        "marts/journey/step_match",
        "intermediate/int_segment__leaf",
        "intermediate/int_segment__customer",
        "intermediate/int_segment__range",
        "marts/cohort/segment_validity",
    ),
    "rules": (
        "intermediate/int_detection__condition",
        "intermediate/int_detection__rule",
        "intermediate/int_step__node",
        "marts/journey/step_match",
        "intermediate/int_detection__subject",
        "intermediate/int_detection__match",
        "intermediate/int_detection__walked",
        "intermediate/int_detection__hit",
        "marts/detection/detection",
    ),
}
# Read once. No worker may read a temporary table, so that events would be read by one process; and hits are mostly
# wanted without their evidence, which is then not looked up.
VIEWS = ("int_step__node", "detection")
# Millions of matches are read several times; PostgreSQL takes as much of it as there are temporary tables.
TEMP_BUFFERS = "512MB"
PUBLISHED: LiteralString = (
    "from mart.definition as p inner join config.definition as d using (kind, definition_id, version)"
)
_MACROS = ("conditions", "run")
# of dbt's or about a run; everything else in those files is what it is for dbt
_REPLACED = ("conditions", "is_full", "session_policy", "computed", "watermark", "is_published", "first_of")


@contextmanager
def drafted(settings: Settings, definitions: Sequence[AnyDefinition]) -> Iterator[psycopg.Connection]:
    """A connection in which the models of definitions of one kind are temporary tables, as of one moment."""
    with connect("jm_builder", settings=settings, temp_buffers=TEMP_BUFFERS) as connection, explained():
        try:
            connection.execute("set transaction isolation level repeatable read")
            _compute(connection, settings, definitions)
            yield connection
        finally:
            connection.rollback()


def _compute(connection: psycopg.Connection, settings: Settings, definitions: Sequence[AnyDefinition]) -> None:
    """Fill a temporary table for each of the models."""
    kind = KINDS[type(definitions[0])]
    models = MODELS[kind]
    connection.execute(
        "create temporary table definition on commit drop as select %s::text as kind, d.definition_id,"
        " 0 as version, d.content, null::timestamptz as retired_at"
        " from unnest(%s::text[], %s::jsonb[]) as d (definition_id, content)",
        (
            kind,
            [definition.id for definition in definitions],
            [Jsonb(definition.content()) for definition in definitions],
        ),
    )
    if isinstance(definitions[0], Segment):  # it may ask for funnels that are published
        connection.execute(
            "insert into definition select d.kind, d.definition_id, d.version, d.content, null"
            f" {PUBLISHED} where p.kind = 'funnels'"
        )
    policy = connection.execute(f"select d.content {PUBLISHED} where p.kind = 'sessions'").fetchone()
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
        # read person by person
        if name == "step_match" and any(
            isinstance(item, Segment) or (isinstance(item, Rule) and item.looks_back) for item in definitions
        ):
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

    def first_of(name: str, column: str, condition: str) -> str:
        # somebody may be known by what only other definitions ask for
        firsts = [
            f"(select min(m.{column}) from {relation} as m where {condition})"  # noqa: S608 - of our own models
            for relation in sorted({ref(name), f"mart.{name}"})
        ]
        return f"least({', '.join(firsts)})"

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
        first_of=first_of,
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
