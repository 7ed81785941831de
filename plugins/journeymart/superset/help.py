"""The help tab: what every chart shows, what every number means and which table it comes from.

Nothing here is written twice: chart and metric texts are the authored ones, column names the dbt labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from journeymart.superset.lint import METRIC_FIELDS, columns_in, columns_of, names
from journeymart.superset.manifest import Models
from journeymart.superset.specs import SCHEMA, Assets, Chart, Dataset, Text, slug_of

WORDS = {
    "charts": Text(ko="차트에서 보는 것", en="What the charts show"),
    "chart": Text(ko="차트", en="Chart"),
    "shows": Text(ko="보는 것", en="What it shows"),
    "proof": Text(ko="근거", en="Proof"),
    "numbers": Text(ko="숫자의 뜻", en="What the numbers mean"),
    "number": Text(ko="숫자", en="Number"),
    "meaning": Text(ko="뜻", en="Meaning"),
    "origin": Text(ko="출처", en="Origin"),
}
SAVE = Text(
    ko="**숫자에 든 고객을 세그먼트로**: [고객군 저장]({url})에서 이 화면의 칸을 골라 저장하면 모든 화면의"
    " 세그먼트 필터와 대상군 요청에서 쓸 수 있습니다.",
    en="**The customers behind a number as a segment**: choose a cell of this dashboard in [Save a segment]({url});"
    " then every dashboard can be filtered by it, and an audience requested of it.",
)
# The form that saves a cell, in Airflow.
FORM = "/plugin/journeymart-segments"
# The dashboard that shows what stands behind a number.
PROOF = "proof"
# What queries take names, members of a chosen segment and links from: no number comes from it.
NAMING = ("dashboard_link", "node", "segment", "segment_customers")
# Nor from where a filter's values are looked up.
CHOICE = re.compile(rf"distinct \w+ from {SCHEMA}\.\w+ where \w+ in")


def help_markdown(intro: Text, dashboard: str, assets: Assets, models: Models, locale: str) -> str:
    """Markdown for one locale: introduction, where cells are saved, charts with their proof, numbers with their
    origin."""

    def word(key: str) -> str:
        return WORDS[key].get(locale)

    charts = [assets.charts[name] for name in assets.dashboards[dashboard].charts]
    described = [
        (
            f"**{chart.title.get(locale)}**",
            chart.description.get(locale) if chart.description else "",
            f"[{word('proof')}]({proof_link(dashboard, name, assets, locale)})",
        )
        for name, chart in zip(assets.dashboards[dashboard].charts, charts, strict=True)
    ]
    shown_in: dict[tuple[str, str], list[str]] = {}
    for chart in charts:
        for key in metrics_of(chart):
            shown_in.setdefault((chart.dataset, key), []).append(chart.title.get(locale))
    numbers = []
    for (name, key), titles in shown_in.items():
        dataset = assets.datasets[name]
        metric = dataset.metrics[key]
        numbers.append(
            (
                f"**{metric.label.get(locale)}**",
                metric.description.get(locale),
                ", ".join(titles),
                " ".join(f"`{table}`" for table in tables_of(dataset, assets))
                + f" · {', '.join(column_labels(dataset, metric.sql(locale), models, locale))}",
            )
        )
    link = SAVE.get(locale).format(url=f"{assets.airflow_url}{FORM}")
    saving = [link] if assets.dashboards[dashboard].has_cells else []
    parts = [
        intro.get(locale).strip(),
        *saving,
        f"### {word('charts')}",
        _table((word("chart"), word("shows"), word("proof")), described),
        f"### {word('numbers')}",
        _table((word("number"), word("meaning"), word("chart"), word("origin")), numbers),
    ]
    return "\n\n".join(parts) + "\n"


def metrics_of(chart: Chart) -> list[str]:
    """Authored names of the metrics that a chart shows; one that only sorts is not shown."""
    shown = [field for field in METRIC_FIELDS if field != "timeseries_limit_metric"]
    return [name for field in shown for name in names(chart.params.get(field))]


def figure_of(dashboard: str, chart: str, assets: Assets, locale: str) -> str:
    """What a chart on a dashboard is called on the dashboard of proofs."""
    return f"{assets.dashboards[dashboard].title.get(locale)}: {assets.charts[chart].title.get(locale)}"


def proof_link(dashboard: str, chart: str, assets: Assets, locale: str) -> str:
    """Address of the dashboard of proofs with that figure chosen, as mart.dashboard_link() writes them."""
    figure = re.sub("(['!])", r"!\1", figure_of(dashboard, chart, assets, locale))
    chosen = (
        f"(NATIVE_FILTER-figure:(extraFormData:(filters:!((col:figure,op:IN,val:!('{figure}')))),"
        f"filterState:(value:!('{figure}')),id:NATIVE_FILTER-figure,ownState:()))"
    )
    slug = slug_of(assets.dashboards[PROOF], locale)
    return f"/superset/dashboard/{slug}/?native_filters={quote(chosen, safe='')}"


def tables_of(dataset: Dataset, assets: Assets) -> list[str]:
    """Published tables and functions that a dataset's numbers come from."""
    if dataset.model:
        return [f"{SCHEMA}.{dataset.model}"]
    sql = CHOICE.sub("", assets.queries[dataset.query or ""])
    tables = sorted(set(re.findall(rf"\b{SCHEMA}\.[a-z_]+", sql)))
    return [table for table in tables if table.removeprefix(f"{SCHEMA}.") not in NAMING] or tables


def column_labels(dataset: Dataset, expression: str, models: Models, locale: str) -> list[str]:
    """Labels of the columns that a number is computed from."""
    columns = columns_of(dataset, models)
    return [columns[name].label[locale] for name in columns_in(expression, columns)]


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
