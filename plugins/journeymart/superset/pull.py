"""Bring edits made in the browser back into the authored files, changing nothing else in them.

Superset's export is compared with what `bundle` renders. Every chart stands on several dashboards in two languages; one
edited copy is enough, two that were edited differently are a conflict. What YAML cannot say is reported, not guessed.
"""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from supersetapiclient.base import raise_for_status

from journeymart.settings import Settings
from journeymart.superset.bundle import asset_uuid, contents, own_name
from journeymart.superset.client import connect, superset_errors
from journeymart.superset.lint import METRIC_FIELDS, check, names
from journeymart.superset.manifest import Models, current_models
from journeymart.superset.specs import ASSETS, LOCALES, AssetError, Assets, Dashboard, read_assets
from journeymart.superset.yaml_edit import GONE, edit

# A place in an authored file: the file, then keys and list positions.
Place = tuple[str | int, ...]
# What Superset writes into a chart that somebody saved, whatever they changed.
_WRITTEN_BY_SUPERSET = {
    "adhoc_filters", "adhoc_filters_b", "annotation_layers", "dashboards", "datasource", "extra_form_data", "force",
    "result_format", "result_type", "slice_id", "temporal_columns_lookup", "url_params", "viz_type",
}  # fmt: skip
# Controls of a grid of charts, of which no chart here is one.
_GRID = "matrixify_"


@dataclass
class Pulled:
    """Files that were changed, and in words what was found in Superset but cannot be written down."""

    changed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def pull(settings: Settings, directory: Path = ASSETS) -> Pulled:
    """Write what was edited in Superset into the files of `directory`.

    Raises AssetError, leaving every file as it was, if two copies of an asset were edited differently or the result
    could not be applied; SupersetError if the server cannot be reached or refuses.
    """
    models = current_models(settings)
    with superset_errors(settings):
        found = dict(_exported(settings))
    return write_back(directory, models, found, settings.airflow_url)


def write_back(directory: Path, models: Models, found: dict[str, dict[str, Any]], airflow_url: str = "") -> Pulled:
    """What `pull` does with the assets `found` in Superset, by identifier."""
    assets = read_assets(directory, airflow_url=airflow_url)
    rendered = contents(assets, models, "host:1/database").values()
    expected = {content["uuid"]: content for content in rendered if "uuid" in content}
    notes: list[str] = []
    edits: dict[Place, dict[str, Any]] = {}
    for place, value in _differences(assets, expected, found, notes):
        edits.setdefault(place, {})[repr(value)] = value
    conflicts = [f"{place[0]}: {_dotted(place)}: {' or '.join(v)}?" for place, v in edits.items() if len(v) > 1]
    if conflicts:
        raise AssetError("copies were edited differently:\n  " + "\n  ".join(conflicts))
    by_file: dict[str, dict[Place, Any]] = {}
    for place, values in edits.items():
        by_file.setdefault(str(place[0]), {})[place[1:]] = next(iter(values.values()))
    before = {name: (directory / name).read_text(encoding="utf-8") for name in by_file}
    try:
        for name, changes in by_file.items():
            (directory / name).write_text(edit(before[name], changes), encoding="utf-8")
        check(read_assets(directory), models)
    except AssetError:
        for name, text in before.items():
            (directory / name).write_text(text, encoding="utf-8")
        raise
    return Pulled(sorted(by_file), sorted(set(notes)))


def _exported(settings: Settings) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every asset in Superset with its identifier."""
    client = connect(settings)
    response = client.get(client.assets.export_url)
    raise_for_status(response)
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        for name in archive.namelist():
            content = yaml.load(archive.read(name), Loader=yaml.CSafeLoader)
            if "uuid" in content:
                yield content["uuid"], content


def _dotted(place: Place) -> str:
    return ".".join(map(str, place[1:]))


def _differences(
    assets: Assets, expected: dict[str, Any], found: dict[str, Any], notes: list[str]
) -> Iterator[tuple[Place, Any]]:
    for locale in LOCALES:
        for name, dashboard in assets.dashboards.items():
            uuid = asset_uuid("dashboards", name, locale)
            if uuid in found:
                changes = list(_of_dashboard(name, dashboard, locale, expected[uuid], found[uuid], notes))
                if dashboard.owner and changes:
                    notes.append(f"dashboard {dashboard.slug} is made of a pack (definitions/packs.yml); edit that")
                else:
                    yield from changes
            for chart in dashboard.charts:
                uuid = asset_uuid("charts", own_name(name, chart), locale)
                if uuid in found:
                    yield from _of_chart(chart, assets, locale, expected[uuid], found[uuid])


def _of_chart(
    name: str, assets: Assets, locale: str, expected: dict[str, Any], found: dict[str, Any]
) -> Iterator[tuple[Place, Any]]:
    file = f"charts/{name}.yml"
    chart = assets.charts[name]
    if found["slice_name"] != expected["slice_name"]:
        yield (file, "title", locale), found["slice_name"]
    if (found.get("description") or None) != expected["description"] and found.get("description"):
        yield (file, "description", locale), found["description"]
    if found["viz_type"] != expected["viz_type"]:
        yield (file, "type"), found["viz_type"]
    keys = {metric.label.get(locale): key for key, metric in assets.datasets[chart.dataset].metrics.items()}
    defaults = _control_defaults()
    for key, value in found["params"].items():
        if key in _WRITTEN_BY_SUPERSET or key.startswith(_GRID):
            continue
        if key not in expected["params"] and (value in (None, "", [], {}, False) or value == defaults.get(key)):
            continue
        if key in expected["params"] and value == expected["params"][key]:
            continue
        place: Place = (file, "params", key)
        authored = chart.params.get(key)
        if isinstance(authored, dict) and set(authored) == set(LOCALES):
            yield (*place, locale), value
        else:
            yield place, _in_names(key, value, keys)
    for key in expected["params"].keys() - found["params"].keys() - _WRITTEN_BY_SUPERSET:
        yield (file, "params", key), GONE


@functools.cache
def _control_defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("control_defaults.yml").read_text("utf-8"))
    return defaults


def _in_names(field_name: str, value: Any, keys: dict[str, str]) -> Any:
    """A form data value with authored names of metrics in place of their labels."""
    if field_name in METRIC_FIELDS and all(isinstance(name, str) for name in names(value)):
        named = [keys.get(name, name) for name in names(value)]
        return named if isinstance(value, list) else named[0]
    if field_name == "column_config" and isinstance(value, dict):
        return {keys.get(name, name): item for name, item in value.items()}
    if field_name == "conditional_formatting" and isinstance(value, list):
        return [{**rule, "column": keys.get(rule["column"], rule["column"])} for rule in value]
    return value


def _of_dashboard(
    name: str, dashboard: Dashboard, locale: str, expected: dict[str, Any], found: dict[str, Any], notes: list[str]
) -> Iterator[tuple[Place, Any]]:
    file = f"dashboards/{name}.yml"
    for key, authored in (("dashboard_title", "title"), ("description", "description")):
        if found[key] and found[key] != expected[key]:
            yield (file, authored, locale), found[key]
    filters = {item["id"]: item for item in found["metadata"].get("native_filter_configuration", [])}
    for item in expected["metadata"]["native_filter_configuration"]:
        edited = filters.pop(item["id"], None)
        place: Place = (file, "filters", item["id"].removeprefix("NATIVE_FILTER-"))
        if edited is None:
            yield place, GONE
            continue
        if edited["name"] != item["name"]:
            yield (*place, "label", locale), edited["name"]
        multiple = edited.get("controlValues", {}).get("multiSelect")
        if multiple is not None and multiple != item["controlValues"].get("multiSelect"):
            yield (*place, "multiple"), multiple
    notes += [f"{dashboard.slug}: filter '{item['name']}' is new; write it into {file}" for item in filters.values()]
    charts = {asset_uuid("charts", own_name(name, chart), locale): chart for chart in dashboard.charts}
    yield from _layout(file, dashboard, locale, found["position"], charts, notes)
    yield from _help(file, dashboard, locale, expected["position"], found["position"], notes)


def _help(
    file: str, dashboard: Dashboard, locale: str, expected: dict[str, Any], found: dict[str, Any], notes: list[str]
) -> Iterator[tuple[Place, Any]]:
    """Introductions of the help: what follows them is generated."""
    texts = {key: item["meta"]["code"] for key, item in found.items() if key.startswith("MARKDOWN-")}
    for number, tab in enumerate(dashboard.tabs):
        key = f"MARKDOWN-{number + 1}"
        if tab.help is None:
            continue
        written, text = expected[key]["meta"]["code"], texts.pop(key, "")
        generated = written.removeprefix(tab.help.get(locale).strip())
        if text.endswith(generated) and text != written:
            yield (file, "tabs", number, "help", locale), text.removesuffix(generated).strip() + "\n"
        elif text != written:
            notes.append(f"{dashboard.slug}: only what stands above the tables of the help can be written down")
    if texts:
        notes.append(f"{dashboard.slug}: a text that is not help cannot be written down")


def _layout(
    file: str, dashboard: Dashboard, locale: str, position: dict[str, Any], charts: dict[str, str], notes: list[str]
) -> Iterator[tuple[Place, Any]]:
    """Tabs and rows as they stand in Superset against the authored ones."""

    def children(node: str, kind: str) -> list[dict[str, Any]]:
        inside = [position[child] for child in position[node].get("children", [])]
        other = sorted({item["type"] for item in inside} - {kind, "MARKDOWN"})
        if other:
            notes.append(f"{dashboard.slug}: {', '.join(other)} in the layout cannot be written down")
        return [item for item in inside if item["type"] == kind]

    tabs = children("TABS-1", "TAB") if "TABS-1" in position else []
    if len(tabs) != len(dashboard.tabs):
        notes.append(f"{dashboard.slug}: has {len(tabs)} tabs, {file} {len(dashboard.tabs)}")
        return
    for number, (tab, authored) in enumerate(zip(tabs, dashboard.tabs, strict=True)):
        if tab["meta"]["text"] != authored.title.get(locale):
            yield (file, "tabs", number, "title", locale), tab["meta"]["text"]
        rows = []
        for row in children(tab["id"], "ROW"):
            placed = children(row["id"], "CHART")
            unknown = [item["meta"].get("sliceName", "?") for item in placed if item["meta"]["uuid"] not in charts]
            notes += [f"{dashboard.slug}: chart '{title}' is not one of the repository" for title in unknown]
            known = [item["meta"] for item in placed if item["meta"]["uuid"] in charts]
            for meta in known:
                if title := meta.get("sliceNameOverride"):  # renamed on the dashboard; a chart has one title
                    yield (f"charts/{charts[meta['uuid']]}.yml", "title", locale), title
            if known:
                height = max(meta["height"] for meta in known)
                rows.append({"height": height, "charts": {charts[meta["uuid"]]: meta["width"] for meta in known}})
        yield from _rows((file, "tabs", number, "rows"), rows, [row.model_dump() for row in authored.rows])


def _rows(place: Place, rows: list[dict[str, Any]], authored: list[dict[str, Any]]) -> Iterator[tuple[Place, Any]]:
    """The smallest edits that make one list of rows of the other."""
    if len(rows) != len(authored):
        yield place, rows
        return
    for number, (row, before) in enumerate(zip(rows, authored, strict=True)):
        for key in ("height", "charts"):
            # Order counts: it is the order on the screen.
            if repr(row[key]) != repr(before[key]):
                yield (*place, number, key), row[key]
