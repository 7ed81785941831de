"""What stands behind every number: its meaning, the code that counts it, the checks that gate it, the files it is of.

A figure is a chart on a dashboard. What belongs to it is followed, not written down: from its dataset to the relations
and functions of schema mart, and on through what dbt says they are made of. The dashboard `proof` shows it beside what
the latest publication knows; the help of every dashboard leads there, chart by chart (superset/help.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from journeymart.quality.gate import DIRECTORY
from journeymart.quality.rules import Rulebook
from journeymart.settings import REPO
from journeymart.superset.help import CHOICE, NAMING, column_labels, figure_of, metrics_of, tables_of
from journeymart.superset.manifest import Models
from journeymart.superset.specs import INCLUDE, SCHEMA, Assets

Part = Literal["numbers", "code", "checks", "sources"]
PROJECT = REPO / "dbt_project"
# Tables of raw that keep lines of a source of another name.
SPLIT = {"clickstream": "event"}
# Says of every line whether it counts, so it is made of every source: no number comes from there.
ABOUT_LINES = frozenset({"line_duplicate", "line_bot"})
# Holds for all that is in a file, whatever is counted of it.
ABOUT_FILES = frozenset({"file_balance"})
_READ = re.compile(rf"\b(?:from|join)\s+{SCHEMA}\.([a-z_]+)\b(?!\()|\b{SCHEMA}\.([a-z_]+\()")
_FUNCTION = re.compile(rf"create or replace function {SCHEMA}\.([a-z_]+\()")
_CHECKED = re.compile(r"\b(?:build|next)\.([a-z_]+?)(?:_before)?\b")


def proof_values(part: Part, assets: Assets, models: Models, locale: str) -> dict[str, str]:
    """Template values of a dataset that shows a part of the proof: JSON, in letters that no template changes.

    A number has its figure; anything else the numbers of datasets, in `origins`. `figures` has that behind each figure.
    """
    if part == "numbers":
        return {part: _encoded(list(_numbers(assets, models, locale)))}
    places = {name: number for number, name in enumerate(assets.datasets)}
    figures = [
        {"figure": figure_of(dashboard, chart, assets, locale), "origin": places[assets.charts[chart].dataset]}
        for dashboard, spec in assets.dashboards.items()
        for chart in spec.charts
    ]
    find = {"code": code_of, "checks": checks_of, "sources": sources_of}[part]
    origins: dict[str, list[int]] = {}
    for name, place in places.items():
        for found in find(name, assets, models):
            origins.setdefault(found, []).append(place)
    items = [{**_described(part, found, locale), "origins": where} for found, where in origins.items()]
    return {part: _encoded(items), "figures": _encoded(figures)}


def code_of(dataset: str, assets: Assets, models: Models) -> list[str]:
    """Files of the repository that say how a dataset's numbers come about, from its query back to tables of mart."""
    spec, directory = assets.datasets[dataset], assets.directory / "datasets"
    files, queries = [directory / f"{dataset}.yml"], [spec.query] if spec.query else []
    while queries:
        files.append(directory / queries.pop())
        queries += INCLUDE.findall(files[-1].read_text(encoding="utf-8"))
    functions = _functions()
    files += [
        functions[name][0] if name in functions else PROJECT / models.files[name]
        for name in _relations(dataset, assets)
    ]
    return list(dict.fromkeys(str(path.relative_to(REPO)) for path in files if path.is_relative_to(REPO)))


def checks_of(dataset: str, assets: Assets, models: Models) -> list[str]:
    """Ids of the checks that concern a dataset's numbers: all of what lands, and those of a table they are made of.

    A check compares its table with what that is made of: it is of the tables from which no other of its own is made.
    """
    made_of = _made_of(_relations(dataset, assets), models) | ABOUT_FILES
    found = []
    for check, named in _checked_tables().items():
        tables = named & models.keys()
        compared = {name for name in tables for other in tables - {name} if name in _made_of([other], models)}
        if not tables or (tables - compared) & made_of:
            found.append(check)
    return found


def sources_of(dataset: str, assets: Assets, models: Models) -> list[str]:
    """Sources whose files a dataset's numbers come from."""
    made_of = _made_of(_relations(dataset, assets), models, but=ABOUT_LINES)
    return [name for name in assets.names["sources"] if made_of & {f"raw.{name}", f"raw.{SPLIT.get(name)}"}]


def _numbers(assets: Assets, models: Models, locale: str) -> Iterator[dict[str, Any]]:
    """What each figure counts; one that counts nothing shows rows, which its description explains."""
    for dashboard, spec in assets.dashboards.items():
        for name in spec.charts:
            chart = assets.charts[name]
            dataset = assets.datasets[chart.dataset]
            tables = ", ".join(tables_of(dataset, assets))
            figure = {"figure": figure_of(dashboard, name, assets, locale)}
            shown = [dataset.metrics[key] for key in metrics_of(chart)]
            for metric in shown:
                labels = column_labels(dataset, metric.sql(locale), models, locale)
                yield {
                    **figure,
                    "number": metric.label.get(locale),
                    "meaning": metric.description.get(locale),
                    "formula": metric.sql(locale),
                    "origin": f"{tables} · {', '.join(labels)}",
                }
            if not shown and chart.description:
                title, meaning = chart.title.get(locale), chart.description.get(locale)
                yield {**figure, "number": title, "meaning": meaning, "origin": tables}


def _encoded(items: list[dict[str, Any]]) -> str:
    """Superset's where_in doubles every backslash and percent sign of a text."""
    return base64.b64encode(json.dumps(items, ensure_ascii=False).encode()).decode()


def _described(part: Part, found: str, locale: str) -> dict[str, Any]:
    if part == "code":
        return {"file": found, "sha256": hashlib.sha256((REPO / found).read_bytes()).hexdigest()}
    if part == "checks":
        rule = next(rule for suite in _rulebook().suites for rule in suite.rules if rule.id == found)
        title, description = (getattr(text, locale) for text in (rule.title, rule.description))
        return {"check_id": found, "title": title, "description": description}
    return {"source": found}


def _relations(dataset: str, assets: Assets) -> list[str]:
    """Relations of mart that a dataset reads and functions that it calls, `name(`, and those that these do in turn."""
    spec, functions = assets.datasets[dataset], _functions()
    found = [spec.model] if spec.model else _named(assets.queries[spec.query or ""])
    for name in found:  # which grows meanwhile
        if name in functions:
            found += [other for other in _named(functions[name][1]) if other not in found]
    return list(dict.fromkeys(found))


def _named(query: str) -> list[str]:
    """Relations of mart that a query or function takes numbers from, and `name(` of the functions that it calls."""
    names = [found[1] or found[2] for found in _READ.finditer(re.sub("--.*", "", CHOICE.sub("", query)))]
    return [name for name in names if name.removesuffix("(") not in NAMING] or names


def _made_of(names: list[str], models: Models, but: frozenset[str] = frozenset()) -> set[str]:
    """Those names, and what they are made of: models, and `schema.table` of what is no model."""
    found: set[str] = set()
    waiting = set(names) - but
    while waiting:
        found |= waiting
        waiting = {parent for name in waiting for parent in models.parents.get(name, ())} - found - but
    return found


@cache
def _functions() -> dict[str, tuple[Path, str]]:
    """The functions of schema mart by name and bracket: the file, and what they say."""
    found: dict[str, tuple[Path, str]] = {}
    for path in sorted((PROJECT / "mart_functions").glob("*.sql")):
        for text in re.split(r"^(?=create )", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            if defined := _FUNCTION.match(text):
                found[defined[1]] = path, text[defined.end() :]
    return found


@cache
def _rulebook() -> Rulebook:
    return Rulebook(DIRECTORY)


@cache
def _checked_tables() -> dict[str, set[str]]:
    """Tables of build and next that each check reads, by its id."""
    book = _rulebook()
    return {
        rule.id: set(_CHECKED.findall(book.query(rule.sql))) if rule.sql else set()
        for suite in book.suites
        for rule in suite.rules
    }
