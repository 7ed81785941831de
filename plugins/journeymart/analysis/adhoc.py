"""A funnel drawn up on the spot: the models that compute defined funnels, run over the published mart for this one.

Nothing is written twice: the SQL is that of dbt_project, rendered so that what is computed goes to temporary tables and
what it is computed from is schema mart.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
from jinja2 import StrictUndefined
from jinja2.sandbox import SandboxedEnvironment
from psycopg import sql
from psycopg.types.json import Jsonb

from journeymart.analysis import AnalysisError, Result, Scope
from journeymart.db import connect
from journeymart.definitions.funnels import Funnel, FunnelsFile
from journeymart.definitions.loader import DefinitionError, read_document, suggestion
from journeymart.settings import Settings

MODELS = (
    "intermediate/int_funnel__definition",
    "intermediate/int_funnel__condition",
    "marts/journey/step_match",
    "intermediate/int_funnel__subject",
    "intermediate/int_funnel__attempt",
    "marts/journey/funnel_entry",
)
_MACROS = ("conditions", "run")
# of dbt's or about a run; everything else in those files is what it is for dbt
_REPLACED = ("conditions", "is_full", "session_policy", "computed", "watermark")


def funnel(
    settings: Settings, path: Path, scope: Scope, *, by_breakdown: bool = False, funnel_id: str | None = None
) -> Result:
    """The rows of mart.funnel() for a funnel of a file that need not be applied.

    Raises DefinitionError for mistakes in the file, AnalysisError if it has several funnels and none is named.
    """
    definition = _chosen(path, funnel_id)
    with connect("jm_builder", settings=settings) as connection:
        try:
            connection.execute("set transaction isolation level repeatable read")
            _compute(connection, settings, definition)
            arguments = scope.arguments() | {
                "entries": "pg_temp.funnel_entry",
                "funnel_id": definition.id,
                "definition": Jsonb(definition.content()),
                "by_breakdown": by_breakdown,
            }
            names = sql.SQL(", ").join(
                sql.SQL("{} => {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in arguments
            )
            cursor = connection.execute(sql.SQL("select * from mart.funnel_report({})").format(names), arguments)
            return Result([column.name for column in cursor.description or ()], cursor.fetchall())
        except psycopg.errors.UndefinedTable as error:
            raise AnalysisError(f"nothing has been published yet: {error.diag.message_primary}") from error
        finally:
            connection.rollback()


def _chosen(path: Path, funnel_id: str | None) -> Funnel:
    document = read_document("funnels", path)
    known = {item.id: item for item in document.parse(FunnelsFile).funnels}
    if not known:
        raise DefinitionError([f"{path}: has no funnels"])
    if funnel_id is None and len(known) > 1:
        raise AnalysisError(f"{path} has several funnels; name one with --id: {', '.join(known)}")
    chosen = funnel_id or next(iter(known))
    if chosen not in known:
        raise AnalysisError(f"{path} has no funnel {chosen}{suggestion(chosen, known)}")
    return known[chosen]


def _compute(connection: psycopg.Connection, settings: Settings, definition: Funnel) -> None:
    """Fill pg_temp.funnel_entry, and the tables before it."""
    connection.execute(
        "create temporary table definition on commit drop as select 'funnels'::text as kind, %s::text as definition_id,"
        " 0 as version, %s::jsonb as content, null::timestamptz as retired_at",
        (definition.id, Jsonb(definition.content())),
    )
    policy = connection.execute(
        "select content from config.definition where kind = 'sessions' and retired_at is null"
    ).fetchone()
    if policy is None:
        raise AnalysisError("nothing has been published yet")
    project = settings.repo / "dbt_project"
    render = _renderer(project, policy[0], definition)
    for model in MODELS:
        name = model.rpartition("/")[2]
        statement = render((project / "models" / f"{model}.sql").read_text(encoding="utf-8"))
        connection.execute(
            sql.SQL("create temporary table {} on commit drop as {}").format(sql.Identifier(name), sql.SQL(statement))
        )
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier(name)))


def _renderer(project: Path, policy: dict[str, Any], definition: Funnel) -> Any:
    """A function that renders the text of a model."""
    computed = {model.rpartition("/")[2] for model in MODELS}

    def ref(name: str) -> str:
        return f"pg_temp.{name}" if name in computed else f"mart.{name}"

    def conditions(source: str, which: str = "known") -> list[tuple[Any, ...]]:
        if which != "known":
            return []
        found = {condition.condition_id: condition for condition in definition.conditions()}
        return [
            (key, compiled.predicate, compiled.hold, compiled.breakdown, condition.uses[1])
            for key, condition in sorted(found.items())
            if (compiled := condition.compiled("mart").get(source)) is not None
        ]

    environment = SandboxedEnvironment(extensions=["jinja2.ext.do"], undefined=StrictUndefined, autoescape=False)
    environment.globals.update(
        config=lambda **_: "",
        ref=ref,
        computed=ref,
        source=lambda schema, table: "pg_temp.definition" if table == "definition" else f"{schema}.{table}",
        execute=True,
        is_full=lambda: True,
        session_policy=lambda: policy,
        conditions=conditions,
        watermark=lambda: "(select max(p.watermark_at) from ops.publication as p)",
        **{"return": lambda value: value},
    )
    macros = "".join((project / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in _MACROS)
    for name in _REPLACED:
        macros = re.sub(rf"{{%-? macro {name}\(.*?{{%-? endmacro -?%}}", "", macros, flags=re.DOTALL)
    return lambda text: environment.from_string(macros + text).render()
