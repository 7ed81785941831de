"""The help tab: what every chart shows, what every number means and which table it comes from.

Nothing here is written twice: chart and metric texts are the authored ones, column names the dbt labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from journeymart.superset.lint import METRIC_FIELDS, columns_in, columns_of, names
from journeymart.superset.manifest import Models
from journeymart.superset.specs import SCHEMA, Assets, Chart, Dashboard, Dataset, Text

WORDS = {
    "charts": Text(ko="차트에서 보는 것", en="What the charts show"),
    "chart": Text(ko="차트", en="Chart"),
    "shows": Text(ko="보는 것", en="What it shows"),
    "numbers": Text(ko="숫자의 뜻", en="What the numbers mean"),
    "number": Text(ko="숫자", en="Number"),
    "meaning": Text(ko="뜻", en="Meaning"),
    "origin": Text(ko="출처", en="Origin"),
}
# What queries take names, members of a chosen segment and links from: no number comes from it.
NAMING = ("dashboard_link", "node", "segment", "segment_customers")
# Nor from where a filter's values are looked up.
CHOICE = re.compile(rf"distinct \w+ from {SCHEMA}\.\w+ where \w+ in")


def help_markdown(intro: Text, dashboard: Dashboard, assets: Assets, models: Models, locale: str) -> str:
    """Markdown for one locale: introduction, then tables of charts and of numbers with their origin."""

    def word(key: str) -> str:
        return WORDS[key].get(locale)

    charts = [assets.charts[name] for name in dashboard.charts]
    described = [(f"**{c.title.get(locale)}**", c.description.get(locale)) for c in charts if c.description]
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
                _origin(dataset, metric.sql(locale), assets, models, locale),
            )
        )
    parts = [
        intro.get(locale).strip(),
        f"### {word('charts')}",
        _table((word("chart"), word("shows")), described),
        f"### {word('numbers')}",
        _table((word("number"), word("meaning"), word("chart"), word("origin")), numbers),
    ]
    return "\n\n".join(parts) + "\n"


def metrics_of(chart: Chart) -> list[str]:
    """Authored names of the metrics that a chart shows; one that only sorts is not shown."""
    shown = [field for field in METRIC_FIELDS if field != "timeseries_limit_metric"]
    return [name for field in shown for name in names(chart.params.get(field))]


def _origin(dataset: Dataset, expression: str, assets: Assets, models: Models, locale: str) -> str:
    """Published tables behind a number, and the labels of the columns it is computed from."""
    if dataset.model:
        tables = [f"{SCHEMA}.{dataset.model}"]
    else:
        sql = CHOICE.sub("", assets.queries[dataset.query or ""])
        tables = sorted(set(re.findall(rf"\b{SCHEMA}\.[a-z_]+", sql)))
        tables = [table for table in tables if table.removeprefix(f"{SCHEMA}.") not in NAMING] or tables
    columns = columns_of(dataset, models)
    labels = [columns[name].label[locale] for name in columns_in(expression, columns)]
    return " ".join(f"`{table}`" for table in tables) + " · " + ", ".join(labels)


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
