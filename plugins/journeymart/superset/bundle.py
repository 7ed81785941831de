"""Render the authored assets into Superset's import format, once per locale.

Identifiers are uuid5 of what an asset is called here, so importing again changes the same assets. Every dashboard gets
datasets and charts of its own: who may read one dataset of a dashboard sees the dashboard, so a shared one would open
them all. A dataset's metrics are named by their label: Superset shows names, not labels, in tooltips and legends.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Mapping
from typing import Any

import yaml

from journeymart.superset.help import figure_of, help_markdown
from journeymart.superset.lint import METRIC_FIELDS, columns_of, is_date
from journeymart.superset.manifest import Models
from journeymart.superset.proof import proof_values
from journeymart.superset.specs import (
    LOCALES,
    SCHEMA,
    Assets,
    Dashboard,
    Database,
    Dataset,
    Filter,
    Text,
    localize,
    slug_of,
)

NAMESPACE = uuid.UUID("5d2f4c1e-8f0b-5b7e-9a51-3c6e0d7f2a90")
UUID_VERSION = 5
NO_PERIOD = "No filter"
# Superset replaces this password by the one handed over beside the bundle.
MASKED_PASSWORD = "X" * 10
VERSION = "1.0.0"
# Shown as the certification of every asset, and how `apply` knows its own among the users'.
CERTIFIED_BY = "journeymart"
# Defined in superset_config.py.
COLOR_SCHEME = "journeymart"
CSS = (
    # Superset measures the dashboard's title before the Korean font is there, and cuts it off.
    ".dynamic-title-input { field-sizing: content; width: auto !important; }"
    # Six key numbers stand side by side on a small screen too.
    " [data-test=slice-header] .header-title * { font-size: 14px; }"
    # All filters of a tab stand there, in several lines where they need them: Superset 6.1 can lose the button behind
    # which it folds those that have no room (superset#41351). Then it has nothing but the filters of other tabs.
    " [data-test=filter-bar] [data-test=container] { flex-wrap: wrap; row-gap: 8px; }"
    " [data-test=dropdown-container-btn] { display: none; }"
    # With a filter beside it, a title of these would be one letter wide, and the number gone.
    " @media (max-width: 1300px) { [data-test-viz-type^=big_number] .filter-counts { display: none; } }"
    # Superset puts their change between number and unit, and measures it without its sign.
    " [data-test-viz-type=big_number] .subheader-line:not(.subtitle-line) { order: 1; white-space: nowrap; }"
    # The help: Korean breaks between words, columns have room between them, where a number comes from stands back.
    " .dashboard-markdown { word-break: keep-all; }"
    " .dashboard-markdown h3 { margin-top: 24px; }"
    " .dashboard-markdown :is(td, th)"
    " { padding: 4px 16px 4px 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e8ebf0; }"
    " .dashboard-markdown th { font-weight: 600; }"
    " .dashboard-markdown code { font-size: 85%; opacity: 0.7; }"
    # A cell without a value says N/A, in English, whatever the language.
    " td.dt-is-null { font-size: 0; } td.dt-is-null::after { content: '–'; font-size: 12px; }"
)
# The change of a key number: more or less is said by a sign, by Superset's class; better or worse by a colour.
SIGNS = {"positive": "▲", "negative": "▼"}
BETTER, WORSE = "#1F7A4D", "#B5432A"
NOTHING_FITS = Text(ko="맞는 값이 없습니다", en="Nothing fits")
GREY = "#B8BEC6"
GREY_WORDS = ("entry", "exit", "other")
# Contents by path in a bundle.
Files = Mapping[str, dict[str, Any]]
# What Superset takes for "do not cache".
NEVER_CACHED = -1
EPOCH = (2020, 1, 1, 0, 0, 0)


def asset_uuid(kind: str, name: str, locale: str = "") -> str:
    """The identifier of an asset for ever; `kind` is databases, datasets, charts or dashboards."""
    return str(uuid.uuid5(NAMESPACE, "/".join((kind, name, locale))))


def own_name(dashboard: str, name: str) -> str:
    """Name of a dashboard's own copy of a chart or dataset."""
    return f"{dashboard}.{name}"


def contents(assets: Assets, models: Models, address: str) -> Files:
    """What is in the import bundle of everything, by path; see `parts`."""
    return {path: content for part in parts(assets, models, address).values() for path, content in part.items()}


def parts(assets: Assets, models: Models, address: str, *, is_editable: bool = False) -> dict[str, Files]:
    """Bundles that can be imported one by one: a dashboard in one language with all it is made of.

    `address` is `host:port/database` of the warehouse. Superset does not offer to edit what is managed externally:
    charts and dashboards are not, if `is_editable`. The assets must have passed `lint.check`.
    """
    found: dict[str, Files] = {}
    for locale in LOCALES:
        for name, dashboard in assets.dashboards.items():
            database = dashboard.database
            files: dict[str, dict[str, Any]] = {
                "metadata.yaml": {"version": VERSION, "type": "assets", "timestamp": "2020-01-01T00:00:00+00:00"},
                f"databases/{database}.yaml": _database(database, assets.databases[database], address),
            }
            for dataset in assets.datasets_of(dashboard):
                path = f"datasets/{database}/{own_name(name, dataset)}_{locale}.yaml"
                files[path] = _dataset(name, dataset, assets, models, locale)
            for chart in dashboard.charts:
                files[f"charts/{own_name(name, chart)}_{locale}.yaml"] = _chart(name, chart, assets, locale)
            files[f"dashboards/{name}_{locale}.yaml"] = _dashboard(name, dashboard, assets, models, locale)
            for path, content in files.items():
                if is_editable and path.startswith(("charts/", "dashboards/")):
                    content["is_managed_externally"] = False
            found[f"{name}_{locale}"] = files
    return found


def pack(files: Files) -> bytes:
    """A zip file of a bundle, the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            text = yaml.dump(content, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
            archive.writestr(zipfile.ZipInfo(f"journeymart/{path}", EPOCH), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def asset_uuids(assets: Assets) -> dict[str, set[str]]:
    """Identifiers of everything in the bundle by kind, to tell what Superset has beyond it."""
    named: dict[str, list[str]] = {"dashboards": list(assets.dashboards), "charts": [], "datasets": []}
    for name, dashboard in assets.dashboards.items():
        named["charts"] += [own_name(name, chart) for chart in dashboard.charts]
        named["datasets"] += [own_name(name, dataset) for dataset in assets.datasets_of(dashboard)]
    return {
        kind: {asset_uuid(kind, name, locale) for name in names for locale in LOCALES} for kind, names in named.items()
    }


def _common(kind: str, name: str, locale: str = "") -> dict[str, Any]:
    """What every asset carries."""
    return {"uuid": asset_uuid(kind, name, locale), "version": VERSION, "is_managed_externally": True}


def _database(name: str, database: Database, address: str) -> dict[str, Any]:
    options = " ".join(f"-c {option}={value}" for option, value in database.parameters.items())
    engine = {"connect_args": {"options": options}}
    return {
        "database_name": name,
        "sqlalchemy_uri": f"postgresql+psycopg2://{database.role}:{MASKED_PASSWORD}@{address}",
        "expose_in_sqllab": not database.is_logging,
        "allow_dml": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "extra": {
            "engine_params": engine | ({"isolation_level": "AUTOCOMMIT"} if database.is_logging else {}),
            "allows_virtual_table_explore": True,
        },
        **_common("databases", name),
    }


def _dataset(dashboard: str, name: str, assets: Assets, models: Models, locale: str) -> dict[str, Any]:
    dataset = assets.datasets[name]
    own = own_name(dashboard, name)
    columns = columns_of(dataset, models)
    # Superset takes a table for one dataset only; every dashboard has a query of its own.
    whole_model = f"select {', '.join(columns)} from {SCHEMA}.{dataset.model}"  # noqa: S608 - names of the manifest
    return {
        "table_name": f"{own}.{locale}",
        "schema": SCHEMA,
        "catalog": None,
        "sql": assets.queries[dataset.query] if dataset.query else whole_model,
        "description": dataset.description.get(locale) if dataset.description else dataset.title.get(locale),
        "main_dttm_col": dataset.time,
        "cache_timeout": NEVER_CACHED if dataset.is_logged or dataset.is_live else None,
        "params": None,
        "template_params": _template_values(dataset, assets.dashboards[dashboard], assets, models, locale) or None,
        "filter_select_enabled": True,
        "normalize_columns": False,
        "always_filter_main_dttm": False,
        "database_uuid": asset_uuid("databases", assets.dashboards[dashboard].database),
        "metrics": [
            {
                "metric_name": metric.label.get(locale),
                "verbose_name": metric.label.get(locale),
                "expression": metric.sql(locale),
                "description": metric.description.get(locale),
            }
            for metric in dataset.metrics.values()
        ],
        "columns": [
            {
                "column_name": column.name,
                "verbose_name": column.label[locale],
                "description": column.description,
                "type": column.type.upper(),
                "is_dttm": is_date(column),
                "is_active": True,
                "groupby": True,
                "filterable": True,
            }
            for column in columns.values()
        ],
        "extra": {"certification": {"certified_by": CERTIFIED_BY}},
        **_common("datasets", own, locale),
    }


def _template_values(
    dataset: Dataset, dashboard: Dashboard, assets: Assets, models: Models, locale: str
) -> dict[str, Any]:
    """What a dataset's query may print besides the filters' values; a model is read as it is."""
    values: dict[str, Any] = {word: text.get(locale) for word, text in dataset.words.items()}
    for word, name in dataset.links.items():
        values[word] = slug_of(assets.dashboards[name], locale)
        values[f"{word}_roles"] = assets.people_of(name)
    for word, kind in dataset.names.items():
        values[word] = [[key, label.get(locale)] for key, label in assets.names[kind].items()]
    if dataset.menu:
        items = menu_items(assets, locale) if dataset.menu == "dashboards" else lesson_items(assets, locale)
        values["menu"] = json.dumps(items, ensure_ascii=False)
    if dataset.proof:
        values |= proof_values(dataset.proof, assets, models, locale)
    return values | (dashboard.pins if dataset.query else {})


def _chart(dashboard: str, name: str, assets: Assets, locale: str) -> dict[str, Any]:
    chart = assets.charts[name]
    dataset = assets.datasets[chart.dataset]
    metrics = {key: metric.label.get(locale) for key, metric in dataset.metrics.items()}
    params = localize(chart.params, locale)
    for field in METRIC_FIELDS:
        if field in params:
            value = params[field]
            params[field] = [metrics[key] for key in value] if isinstance(value, list) else metrics[value]
    if "column_config" in params:
        params["column_config"] = {metrics.get(key, key): value for key, value in params["column_config"].items()}
    if "conditional_formatting" in params:
        params["conditional_formatting"] = [
            {**rule, "column": metrics.get(rule["column"], rule["column"])} for rule in params["conditional_formatting"]
        ]
    filters = [
        _condition(name, "IN" if isinstance(value, list) else "==", value) for name, value in chart.filters.items()
    ]
    if dataset.time:
        filters.append(_condition(dataset.time, "TEMPORAL_RANGE", NO_PERIOD))
    params |= {"viz_type": chart.type, "adhoc_filters": filters}
    if "metrics_b" in params:  # the line of bars and a line is a question of its own
        params["adhoc_filters_b"] = filters
    return {
        "slice_name": chart.title.get(locale),
        "description": chart.description.get(locale) if chart.description else None,
        "viz_type": chart.type,
        "params": params,
        "query_context": None,
        "cache_timeout": NEVER_CACHED if dataset.is_logged or dataset.is_live else None,
        "dataset_uuid": asset_uuid("datasets", own_name(dashboard, chart.dataset), locale),
        "certified_by": CERTIFIED_BY,
        **_common("charts", own_name(dashboard, name), locale),
    }


def _condition(column: str, operator: str, value: str | list[str]) -> dict[str, Any]:
    return {
        "clause": "WHERE",
        "expressionType": "SIMPLE",
        "subject": column,
        "operator": operator,
        "comparator": value,
    }


def _dashboard(name: str, dashboard: Dashboard, assets: Assets, models: Models, locale: str) -> dict[str, Any]:
    # Superset replaces these numbers by its own; the filters' scopes refer to them.
    numbers = {chart: number for number, chart in enumerate(dashboard.charts, start=1)}
    return {
        "dashboard_title": dashboard.title.get(locale),
        "description": dashboard.description.get(locale),
        "slug": slug_of(dashboard, locale),
        "published": True,
        "css": _css(dashboard, locale) + _css_of_changes(dashboard, assets, locale),
        "position": _position(name, dashboard, assets, models, locale, numbers),
        "metadata": {
            "native_filter_configuration": [
                _filter(key, item, name, assets, models, locale, numbers) for key, item in dashboard.filters.items()
            ],
            "filter_bar_orientation": "HORIZONTAL",
            "cross_filters_enabled": bool(dashboard.clicks),
            # Superset would let a click act on everything; it acts on what is written, of other charts on nothing.
            "chart_configuration": {
                str(number): {
                    "id": number,
                    "crossFilters": {"scope": _reach(dashboard.clicks.get(chart, []), numbers), "chartsInScope": []},
                }
                for chart, number in numbers.items()
            },
            "global_chart_configuration": {"scope": _reach([], numbers), "chartsInScope": []},
            "refresh_frequency": 0,
            "color_scheme": COLOR_SCHEME,
            "label_colors": _colors_of_words(dashboard, assets, locale),
        },
        "certified_by": CERTIFIED_BY,
        **_common("dashboards", name, locale),
    }


def _css(dashboard: Dashboard, locale: str) -> str:
    """With what filters say that have nothing to offer: Superset says that there is no data, and in English."""

    def say(place: str, text: str) -> str:
        return f" {place} {{ font-size: 0; }} {place}::after {{ content: '{text}'; font-size: 14px; }}"

    css = CSS + say(".ant-select-dropdown .ant-empty-description", NOTHING_FITS.get(locale))
    for key, item in dashboard.filters.items():
        if item.hint:
            box = f"[data-test=NATIVE_FILTER-{key}]"
            css += say(f"{box} .ant-select-selection-placeholder", item.hint.get(locale))
            css += say(
                f"body:has({box}.ant-select-open) .ant-select-dropdown .ant-empty-description", item.hint.get(locale)
            )
    return css


def _css_of_changes(dashboard: Dashboard, assets: Assets, locale: str) -> str:
    """Under key numbers that are compared: Superset tells more from less by a class, and shows no difference."""
    css = ""
    for chart in (assets.charts[name] for name in dashboard.charts if "compare_lag" in assets.charts[name].params):
        metric = assets.datasets[chart.dataset].metrics[chart.params["metric"]]
        colors = (WORSE, BETTER) if metric.is_better_low else (BETTER, WORSE)
        for (direction, sign), color in zip(SIGNS.items(), colors, strict=True):
            title = chart.title.get(locale)
            place = f'[data-test-chart-name="{title}"] .{direction} .subheader-line:not(.subtitle-line)'
            css += f" {place} {{ color: {color}; font-weight: 600; }} {place}::before {{ content: '{sign} '; }}"
    return css


def _reach(charts: list[str], numbers: Mapping[str, int]) -> dict[str, Any]:
    """A scope that has only these charts in it."""
    return {
        "rootPath": ["ROOT_ID"],
        "excluded": [number for chart, number in numbers.items() if chart not in charts],
    }


def _colors_of_words(dashboard: Dashboard, assets: Assets, locale: str) -> dict[str, str]:
    """What stands for no page is grey at every step of a Sankey diagram; other words have the colours of their own."""
    colors: dict[str, str] = {}
    steps = [*map(str, range(-2, 7)), "+1", "+2"]
    for dataset in (assets.datasets[name] for name in assets.datasets_of(dashboard)):
        for key, word in dataset.words.items():
            if key in dataset.colors:
                colors[word.get(locale)] = dataset.colors[key]
            elif key in GREY_WORDS:
                colors |= {f"{step} · {word.get(locale)}": GREY for step in steps}
    return colors


def _position(
    name: str, dashboard: Dashboard, assets: Assets, models: Models, locale: str, numbers: Mapping[str, int]
) -> dict[str, Any]:
    """The layout tree: tabs, their rows, and in the rows charts or a text."""
    position: dict[str, Any] = {"DASHBOARD_VERSION_KEY": "v2"}

    def add(node: str, kind: str, parents: list[str], **meta: Any) -> list[str]:
        position[node] = {"type": kind, "id": node, "children": [], "parents": parents, "meta": meta}
        if parents:
            position[parents[-1]]["children"].append(node)
        return [*parents, node]

    add("HEADER_ID", "HEADER", [], text=dashboard.title.get(locale))
    grid = add("GRID_ID", "GRID", add("ROOT_ID", "ROOT", []))
    tabs = add("TABS-1", "TABS", grid)
    for tab_no, tab in enumerate(dashboard.tabs, start=1):
        in_tab = add(f"TAB-{tab_no}", "TAB", tabs, text=tab.title.get(locale))
        for row_no, row in enumerate(tab.rows, start=1):
            in_row = add(f"ROW-{tab_no}-{row_no}", "ROW", in_tab, background="BACKGROUND_TRANSPARENT")
            for chart, width in row.charts.items():
                add(
                    f"CHART-{chart}",
                    "CHART",
                    in_row,
                    uuid=asset_uuid("charts", own_name(name, chart), locale),
                    chartId=numbers[chart],
                    sliceName=assets.charts[chart].title.get(locale),
                    width=width,
                    height=row.height,
                )
        if tab.help:
            text = help_markdown(tab.help, name, assets, models, locale)
            in_row = add(f"ROW-{tab_no}-text", "ROW", in_tab, background="BACKGROUND_TRANSPARENT")
            add(f"MARKDOWN-{tab_no}", "MARKDOWN", in_row, width=12, height=text.count("\n") * 4, code=text)
    return position


def menu_items(assets: Assets, locale: str) -> list[dict[str, str | int]]:
    """The dashboards by task in one language, each once for every role that may open it."""
    listed = [(group, name) for group in assets.menu.groups for name in assets.in_group(group)]
    return [
        {
            "role": role,
            "place": place,
            "task": group.title.get(locale),
            "slug": slug_of(assets.dashboards[name], locale),
            "title": assets.dashboards[name].title.get(locale),
            "description": assets.dashboards[name].description.get(locale),
        }
        for place, (group, name) in enumerate(listed, start=1)
        for role in assets.people_of(name)
    ]


def lesson_items(assets: Assets, locale: str) -> list[dict[str, str | int]]:
    """The lessons in one language, each once for every role that may open its dashboard."""
    return [
        {
            "role": role,
            "place": place,
            "question": lesson.question.get(locale),
            "address": f"{slug_of(assets.dashboards[lesson.dashboard], locale)}/#CHART-{lesson.chart}",
            "title": figure_of(lesson.dashboard, lesson.chart, assets, locale),
            "read": lesson.read.get(locale),
        }
        for place, lesson in enumerate(assets.menu.lessons, start=1)
        for role in assets.people_of(lesson.dashboard)
    ]


def applies(item: Filter, chart: str, assets: Assets, models: Models) -> bool:
    """Whether a filter of a dashboard changes what a chart of it shows."""
    dataset = assets.datasets[assets.charts[chart].dataset]
    return bool(dataset.time) if item.type == "time" else item.column in columns_of(dataset, models)


def _filter(
    key: str,
    item: Filter,
    dashboard: str,
    assets: Assets,
    models: Models,
    locale: str,
    numbers: Mapping[str, int],
) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "id": f"NATIVE_FILTER-{key}",
        "name": item.label.get(locale),
        "description": item.description.get(locale) if item.description else "",
        "type": "NATIVE_FILTER",
        "filterType": f"filter_{item.type}",
        "targets": [{}],
        "scope": _reach([chart for chart in numbers if applies(item, chart, assets, models)], numbers),
        "cascadeParentIds": [],
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
        "controlValues": {"enableEmptyFilter": item.is_required},
    }
    if item.default:
        value = item.default.get(locale)
        chosen = {"filters": [{"col": item.column, "op": "IN", "val": [value]}]}
        rendered["defaultDataMask"] = {
            "extraFormData": {"time_range": value} if item.type == "time" else chosen,
            "filterState": {"value": value if item.type == "time" else [value]},
            "ownState": {},
        }
    if item.dataset:
        metrics = assets.datasets[item.dataset].metrics
        dataset = asset_uuid("datasets", own_name(dashboard, item.dataset), locale)
        rendered["targets"] = [{"column": {"name": item.column}, "datasetUuid": dataset}]
        rendered["controlValues"] = {
            "multiSelect": item.multiple,
            "enableEmptyFilter": item.is_required,
            "creatable": item.is_open,
            # With a ranking, the first of the list is chosen until somebody chooses. It waits to be applied, as queries
            # take the same one: `requiredFirst` would keep who has nothing to choose from waiting for ever.
            "defaultToFirstItem": bool(item.sort_by),
            "sortAscending": not item.sort_by,
            "searchAllOptions": False,
            "inverseSelection": False,
        }
        if item.sort_by:
            rendered["sortMetric"] = metrics[item.sort_by].label.get(locale)
    return rendered
