"""Find what would break a dashboard before Superset does: every reference is followed to a column of the mart.

Superset imports a chart with an unknown metric, or a dashboard with an unknown chart, without a word: the first
person to open the dashboard sees an error, and charts listed after a missing one silently lose their dashboard.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from journeymart.publish.access import PERSONAL
from journeymart.superset.manifest import ModelColumn, Models
from journeymart.superset.specs import LOCALES, SCHEMA, AssetError, Assets, Chart, Column, Dashboard, Dataset

# Form data fields whose values are names of metrics or of columns; a string or a list of strings.
METRIC_FIELDS = ("metric", "metrics", "metrics_b", "timeseries_limit_metric")
COLUMN_FIELDS = (
    "all_columns",
    "groupby",
    "groupby_b",
    "groupbyColumns",
    "groupbyRows",
    "links",
    "source",
    "target",
    "x_axis",
)
# PostgreSQL cuts longer names, after which Superset no longer finds its own columns.
NAME_BYTES = 63
DATE_TYPES = ("date", "timestamp")

# A template may print dates that Superset has parsed and values that where_in has quoted; nothing else.
_PRINTED = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_SAFE_PRINT = re.compile(r"^\s*(\w+\.(from_expr|to_expr)|[\w\[\]]+\s*\|\s*where_in)\s*$")
_FILTER_CALLS = re.compile(r"(?:filter_values|get_time_filter)\('(\w+)'(?:, remove_filter=True)?\)")
_FILTERS_OF_SESSIONS = ("channel", "domain", "device_type", "segment")
_NAMES_OF_VALUES = re.compile(r"\b(?:channel|device|field)_words\b")
# Read from the request or the session, these reach the SQL unescaped or miss the cache key.
_REFUSED = re.compile(
    r"\b(url_param|current_user\w*|cache_key_wrapper|get_filters|get_user_attribute|safe|dataset|metric)\b"
)
_WHO_ASKS = "{{ [current_username()] | where_in }}"
# Superset keeps results apart by what this returns.
_OWN_ROLES = "{% set own_roles = current_user_roles() -%}"
_TABLES = re.compile(r"\b(?:from|join(?:\s+lateral)?)\s+([a-z_]+\.[a-z_]+)", re.IGNORECASE)
_TAGS = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)


def columns_of(dataset: Dataset, models: Models) -> dict[str, ModelColumn]:
    """Columns of a dataset by name; raises KeyError if a model or column does not exist.

    Of a model taken as it is, those that reports may read.
    """
    if dataset.model:
        return {name: column for name, column in models[dataset.model].items() if name not in PERSONAL}
    found = {}
    for name, column in dataset.columns.items():
        if isinstance(column, Column):
            label = {locale: column.label.get(locale) for locale in LOCALES}
            found[name] = ModelColumn(name, column.type, label, column.description.en)
        else:
            model, _, source = column.partition(".")
            origin = models[model][source]
            found[name] = ModelColumn(name, origin.type, origin.label, origin.description)
    return found


def names(value: Any) -> list[str]:
    """The names in a form data field: none, one or several."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def is_date(column: ModelColumn) -> bool:
    """Whether a column can be filtered by a period."""
    return column.type.lower().startswith(DATE_TYPES)


def lint(assets: Assets, models: Models) -> list[str]:
    """Every problem of the authored assets, as `file: what is wrong`; empty when they can be imported."""
    problems: list[str] = []
    columns: dict[str, dict[str, ModelColumn]] = {}
    for name, dataset in assets.datasets.items():
        try:
            columns[name] = columns_of(dataset, models)
        except KeyError as missing:
            problems.append(f"datasets/{name}.yml: {dataset.model or ''} {missing} is not in the dbt manifest")
            continue
        problems += [f"datasets/{name}.yml: {found}" for found in _lint_dataset(dataset, columns[name], assets)]
    for name, chart in assets.charts.items():
        found = _lint_chart(chart, assets, columns)
        problems += [f"charts/{name}.yml: {problem}" for problem in found]
    for name, dashboard in assets.dashboards.items():
        for lint_one in (_lint_dashboard, _lint_clicks):
            problems += [f"dashboards/{name}.yml: {problem}" for problem in lint_one(dashboard, assets, columns)]
    used_charts = {chart for dashboard in assets.dashboards.values() for chart in dashboard.charts}
    problems += [f"charts/{name}.yml: no dashboard shows it" for name in sorted(set(assets.charts) - used_charts)]
    used = {name for dashboard in assets.dashboards.values() for name in _known_datasets_of(dashboard, assets)}
    problems += [f"datasets/{name}.yml: no dashboard uses it" for name in sorted(set(assets.datasets) - used)]
    problems += _lint_orphans(assets)
    used_queries = {dataset.query for dataset in assets.datasets.values()}
    problems += [f"datasets/{name}: no dataset uses it" for name in sorted(set(assets.queries) - used_queries)]
    slugs = [dashboard.slug for dashboard in assets.dashboards.values()]
    problems += [f"dashboards: slug '{slug}' is used twice" for slug in _repeated(slugs)]
    problems += [*_lint_menu(assets), *_lint_roles(assets)]
    return problems


def check(assets: Assets, models: Models) -> None:
    """Raise AssetError with everything that `lint` finds."""
    problems = lint(assets, models)
    if problems:
        raise AssetError("Superset assets cannot be used:\n  " + "\n  ".join(problems))


def _lint_dataset(dataset: Dataset, columns: dict[str, ModelColumn], assets: Assets) -> Iterator[str]:
    if dataset.time and not (dataset.time in columns and is_date(columns[dataset.time])):
        yield f"time: '{dataset.time}' is not a date column"
    for locale in LOCALES:
        labels = [metric.label.get(locale) for metric in dataset.metrics.values()]
        yield from (f"metrics: label '{label}' is used twice" for label in _repeated(labels))
        yield from (f"metrics: label '{label}' is too long" for label in labels if len(label.encode()) > NAME_BYTES)
        for name, metric in dataset.metrics.items():
            if not columns_in(metric.sql(locale), columns):
                yield f"metrics.{name}: the expression uses no column of the dataset"
    for name in dataset.links.values():
        if name not in assets.dashboards:
            yield f"links: there is no dashboard '{name}'"
    if dataset.query is None:
        return
    sql = assets.queries.get(dataset.query)
    if sql is None:
        yield f"query: there is no file {dataset.query}"
        return
    yield from (f"{dataset.query}: {problem}" for problem in lint_query(sql, is_logged=dataset.is_logged))
    for name in _FILTER_CALLS.findall(sql):
        if name not in columns:
            yield f"{dataset.query}: filters by '{name}', which is not a column of the dataset"


def lint_query(sql: str, *, is_logged: bool = False) -> Iterator[str]:
    """Problems of a query template: what it prints unquoted, what it reads outside the published schema.

    A query that writes down who asked may print the user's name, quoted; any may know the roles of who asks.
    """
    sql = sql.replace(_OWN_ROLES, "")
    if is_logged:
        sql = sql.replace(_WHO_ASKS, "null")
    templates = " ".join(_TAGS.findall(sql))
    for word in sorted(set(_REFUSED.findall(templates))):
        yield f"'{word}' must not be used in a template"
    for printed in _PRINTED.findall(sql):
        if not _SAFE_PRINT.match(printed):
            yield f"prints {printed.strip()}: only `… | where_in` and a period's from_expr or to_expr may be"
    for table in sorted(set(_TABLES.findall(sql))):
        if not table.startswith(f"{SCHEMA}."):
            yield f"reads {table}: dashboards read schema {SCHEMA} only"


def columns_in(expression: str, columns: dict[str, ModelColumn]) -> list[str]:
    """Columns that a metric's expression uses, in their order in the dataset."""
    words = set(re.findall(r"[a-z_][a-z0-9_]*", expression))
    return [name for name in columns if name in words]


def _lint_chart(chart: Chart, assets: Assets, columns: dict[str, dict[str, ModelColumn]]) -> Iterator[str]:
    dataset = assets.datasets.get(chart.dataset)
    if dataset is None:
        yield f"dataset: there is no dataset '{chart.dataset}'"
        return
    known = columns.get(chart.dataset, {})
    for field in METRIC_FIELDS:
        for name in names(chart.params.get(field)):
            if name not in dataset.metrics:
                yield f"params.{field}: dataset {chart.dataset} has no metric '{name}'"
    for field in COLUMN_FIELDS:
        for name in names(chart.params.get(field)):
            if name not in known:
                yield f"params.{field}: dataset {chart.dataset} has no column '{name}'"
    formatted = [rule["column"] for rule in chart.params.get("conditional_formatting", [])]
    for name in [*chart.params.get("column_config", {}), *formatted]:
        if name not in dataset.metrics and name not in known:
            yield f"params: dataset {chart.dataset} has no metric or column '{name}' to format"
    for name in chart.filters:
        if name not in known:
            yield f"filters: dataset {chart.dataset} has no column '{name}'"


def _lint_dashboard(dashboard: Dashboard, assets: Assets, columns: dict[str, dict[str, ModelColumn]]) -> Iterator[str]:
    database = assets.databases.get(dashboard.database)
    if database is None:
        yield f"database: there is no database '{dashboard.database}'"
    for name in _known_datasets_of(dashboard, assets) & set(assets.datasets):
        if assets.datasets[name].is_logged and not (database and database.is_logging):
            yield f"dataset {name} writes down who asks; {dashboard.database} forgets it"
    for name in dashboard.charts:
        if name not in assets.charts:
            yield f"tabs: there is no chart '{name}'"
    yield from (f"tabs: chart '{name}' is placed twice" for name in _repeated(dashboard.charts))
    for name, item in dashboard.filters.items():
        if item.type == "time":
            continue
        dataset = assets.datasets.get(item.dataset or "")
        if dataset is None or item.column not in columns.get(item.dataset or "", {}):
            yield f"filters.{name}: there is no column '{item.dataset}.{item.column}'"
        elif item.sort_by and item.sort_by not in dataset.metrics:
            yield f"filters.{name}: dataset {item.dataset} has no metric '{item.sort_by}'"
        used = [chart for chart in dashboard.charts if item.column in columns.get(_dataset_of(chart, assets), {})]
        if not used:
            yield f"filters.{name}: no chart of the dashboard has the column '{item.column}'"
        # asked for each value by itself, what is among the most frequent of one may be among the others of another
        for chart in used if item.multiple and item.column in _FILTERS_OF_SESSIONS else ():
            query = assets.datasets[_dataset_of(chart, assets)].query
            if "top_k =>" in assets.queries.get(query or "", ""):
                yield f"filters.{name}: '{chart}' ranks each value by itself: one at a time"


def _lint_clicks(dashboard: Dashboard, assets: Assets, columns: dict[str, dict[str, ModelColumn]]) -> Iterator[str]:
    for name, followers in dashboard.clicks.items():
        for follower in followers:
            if not {name, follower} <= set(dashboard.charts):
                yield f"clicks.{name}: '{name}' or '{follower}' is not on the dashboard"
            elif not set(names(assets.charts[name].params.get("groupby"))) & set(
                columns.get(_dataset_of(follower, assets), {})
            ):
                yield f"clicks.{name}: '{follower}' knows no column by which '{name}' is divided"
            elif _compares_rows(assets.charts[follower], assets):
                yield f"clicks.{name}: '{follower}' compares rows with those that a click takes away"


def _compares_rows(chart: Chart, assets: Assets) -> bool:
    shown = [name for field in METRIC_FIELDS for name in names(chart.params.get(field))]
    texts = [assets.datasets[chart.dataset].metrics[name].sql(LOCALES[0]) for name in shown]
    return any(word in text for text in texts for word in ("LAG(", "FIRST_VALUE("))


def _lint_orphans(assets: Assets) -> Iterator[str]:
    """Numbers that are explained and never shown, words that no query uses. A list to choose from has one number."""
    shown = {
        (chart.dataset, name)
        for chart in assets.charts.values()
        for field in METRIC_FIELDS
        for name in names(chart.params.get(field))
    }
    filters = [item for dashboard in assets.dashboards.values() for item in dashboard.filters.values()]
    shown |= {(item.dataset, item.sort_by) for item in filters if item.dataset and item.sort_by}
    for name, dataset in assets.datasets.items():
        if len(dataset.metrics) > 1:
            unshown = [metric for metric in dataset.metrics if (name, metric) not in shown]
            yield from (f"datasets/{name}.yml: metrics.{metric}: no chart shows it" for metric in unshown)
        sql = assets.queries.get(dataset.query or "", "")
        for word in [*dataset.words, *dataset.links, *dataset.names]:
            if word not in sql:
                yield f"datasets/{name}.yml: words.{word}: unused"
        # a filter that does not know the value behind a name leaves nothing, and no error
        for word in sorted(set(_NAMES_OF_VALUES.findall(sql)) - set(dataset.names)):
            yield f"datasets/{name}.yml: names.{word}: {dataset.query} needs it"


def _lint_menu(assets: Assets) -> Iterator[str]:
    listed = [name for group in assets.menu.groups for name in assets.in_group(group)]
    menus = {name for name, dataset in assets.datasets.items() if dataset.menu == "dashboards"}
    own = {name for name, board in assets.dashboards.items() if menus & _known_datasets_of(board, assets)}
    for lesson in assets.menu.lessons:
        if lesson.dashboard not in assets.dashboards or lesson.chart not in assets.dashboards[lesson.dashboard].charts:
            yield f"menu.yml: there is no chart '{lesson.chart}' on a dashboard '{lesson.dashboard}'"
    yield from (f"menu.yml: there is no dashboard '{name}'" for name in sorted(set(listed) - set(assets.dashboards)))
    yield from (f"menu.yml: '{name}' is listed twice" for name in _repeated(listed))
    yield from (f"menu.yml: '{name}' is not listed" for name in sorted(set(assets.dashboards) - set(listed) - own))


def _lint_roles(assets: Assets) -> Iterator[str]:
    for role, spec in assets.roles.items():
        for name in spec.dashboards:
            if name not in assets.dashboards:
                yield f"roles.yml: {role}: there is no dashboard '{name}'"
    opened = {
        name
        for spec in assets.roles.values()
        for department in [None, *spec.departments]
        for name in assets.opened_by(spec, department)
    }
    yield from (f"roles.yml: no role may open '{name}'" for name in sorted(set(assets.dashboards) - opened))


def _known_datasets_of(dashboard: Dashboard, assets: Assets) -> set[str]:
    read = {_dataset_of(name, assets) for name in dashboard.charts}
    return read | {item.dataset for item in dashboard.filters.values() if item.dataset}


def _repeated(values: list[str]) -> list[str]:
    return sorted(value for value, times in Counter(values).items() if times > 1)


def _dataset_of(chart: str, assets: Assets) -> str:
    return assets.charts[chart].dataset if chart in assets.charts else ""
