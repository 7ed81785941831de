"""The dashboard's files, without a server: what is checked before an import, and what is imported."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from journeymart.superset.bundle import MASKED_PASSWORD, asset_uuid, pack, render, slug_of
from journeymart.superset.lint import check, lint, lint_query
from journeymart.superset.specs import ASSETS, LOCALES, AssetError, read_assets

ADDRESS = "warehouse.example:5432/journeymart"
HANGUL = re.compile("[가-힣]")


@pytest.fixture(scope="module")
def bundle(assets, models) -> dict[str, dict[str, Any]]:
    return {path: yaml.safe_load(text) for path, text in render(assets, models, ADDRESS).items()}


def of_kind(bundle, kind: str, locale: str = "") -> dict[str, dict[str, Any]]:
    return {p: c for p, c in bundle.items() if p.startswith(f"{kind}/") and p.endswith(f"{locale}.yaml")}


def test_shipped_assets_have_no_problem(assets, models):
    assert lint(assets, models) == []


@pytest.fixture
def broken(tmp_path, models) -> Callable[[str, str, str], list[str]]:
    """Lint the shipped assets with one text of one file replaced."""

    def lint_with(file: str, old: str, new: str) -> list[str]:
        shutil.copytree(ASSETS, tmp_path / "assets")
        path = tmp_path / "assets" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return lint(read_assets(tmp_path / "assets"), models)

    return lint_with


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("charts/kpi_sessions.yml", "metric: sessions", "metric: visits",
         "charts/kpi_sessions.yml: params.metric: dataset session_daily has no metric 'visits'"),
        ("charts/main_paths.yml", "source: source", "source: sauce",
         "charts/main_paths.yml: params.source: dataset main_path has no column 'sauce'"),
        ("charts/status.yml", "column: failed", "column: failures",
         "charts/status.yml: params: dataset publication_latest has no metric or column 'failures' to format"),
        ("charts/account_funnel.yml", "funnel_id: FN", "funnel: FN",
         "charts/account_funnel.yml: filters: dataset funnel has no column 'funnel'"),
        ("charts/daily_trend.yml", "dataset: session_daily", "dataset: session_weekly",
         "charts/daily_trend.yml: dataset: there is no dataset 'session_weekly'"),
        ("dashboards/journey_overview.yml", "charts: {main_paths: 12}", "charts: {man_paths: 12}",
         "dashboards/journey_overview.yml: tabs: there is no chart 'man_paths'"),
        ("dashboards/journey_overview.yml", "column: device_type", "column: gadget",
         "dashboards/journey_overview.yml: filters.device: there is no column 'session_daily.gadget'"),
        ("dashboards/journey_overview.yml", "sort_by: visits", "sort_by: fame",
         "dashboards/journey_overview.yml: filters.page: dataset page has no metric 'fame'"),
        ("datasets/funnel.yml", "funnel_step.entry_date", "funnel_step.entered_on",
         "datasets/funnel.yml:  'entered_on' is not in the dbt manifest"),
        ("datasets/session.yml", "model: session", "model: visit",
         "datasets/session.yml: visit 'visit' is not in the dbt manifest"),
        ("datasets/session_daily.yml", "time: session_date", "time: channel",
         "datasets/session_daily.yml: time: 'channel' is not a date column"),
        ("datasets/session_daily.yml", "SUM(error_sessions)", "SUM(misses)",
         "datasets/session_daily.yml: metrics.error_sessions: the expression uses no column of the dataset"),
        ("datasets/main_path.sql", "filter_values('channel')", "filter_values('chanel')",
         "datasets/main_path.yml: main_path.sql: filters by 'chanel', which is not a column of the dataset"),
        ("datasets/page.sql", "mart.node", "raw.node",
         "datasets/page.yml: page.sql: reads raw.node: dashboards read schema mart only"),
    ],
)  # fmt: skip
def test_a_broken_reference_is_found(broken, file, old, new, problem):
    assert problem in broken(file, old, new)


@pytest.mark.parametrize(
    "template",
    [
        "select 1 where page = '{{ url_param('page') }}'",
        "select 1 where page in {{ url_param('page') | where_in }}",
        "select 1 where page = '{{ filter_values('page')[0] }}'",
        "select 1 where page in ({{ \"'\" + \"','\".join(filter_values('page')) + \"'\" }})",
        "select 1 where page in {{ filter_values('page') | where_in | safe }}",
        "select 1 where day >= '{{ period.time_range }}'",
        "{% if current_username() == 'x' %} select 1 {% endif %}",
    ],
)
def test_a_template_may_not_print_or_read_what_is_not_safe(template):
    assert list(lint_query(template, "mart"))


def test_the_safe_ways_are_accepted():
    template = """
        {% set period = get_time_filter('day') %}{% set pages = filter_values('page') %}
        select 1 from mart.x
        where {% if pages %} page in {{ pages | where_in }} and {% endif %} day < {{ period.to_expr }}
    """
    assert list(lint_query(template, "mart")) == []


def test_an_unknown_key_is_an_error_with_its_file(tmp_path):
    shutil.copytree(ASSETS, tmp_path / "assets")
    with (tmp_path / "assets" / "charts" / "status.yml").open("a") as file:
        file.write("colour: red\n")
    with pytest.raises(AssetError, match=r"charts/status\.yml: colour: Extra inputs"):
        read_assets(tmp_path / "assets")


def test_an_unused_chart_stops_the_import(tmp_path, models):
    shutil.copytree(ASSETS, tmp_path / "assets")
    shutil.copy(ASSETS / "charts" / "status.yml", tmp_path / "assets" / "charts" / "lonely.yml")
    with pytest.raises(AssetError, match=r"charts/lonely\.yml: no dashboard shows it"):
        check(read_assets(tmp_path / "assets"), models)


def test_the_same_assets_give_the_same_bytes(assets, models):
    first = pack(render(assets, models, ADDRESS))
    assert first == pack(render(read_assets(), models, ADDRESS))
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert "journeymart/metadata.yaml" in archive.namelist()


def test_identifiers_are_for_ever():
    # A changed namespace or name would leave every bookmark and every chart of a user behind.
    assert asset_uuid("dashboards", "journey_overview", "ko") == "9d3f19c1-aa8e-5232-a15b-a0cae5991c69"
    assert asset_uuid("databases", "journeymart") == "4aa42e84-0aea-5f76-893e-92f13b1814a7"


def test_every_reference_inside_the_bundle_resolves(bundle):
    databases = {content["uuid"] for content in of_kind(bundle, "databases").values()}
    datasets = {content["uuid"] for content in of_kind(bundle, "datasets").values()}
    charts = {content["uuid"] for content in of_kind(bundle, "charts").values()}
    assert {content["database_uuid"] for content in of_kind(bundle, "datasets").values()} == databases
    assert {content["dataset_uuid"] for content in of_kind(bundle, "charts").values()} <= datasets
    for dashboard in of_kind(bundle, "dashboards").values():
        nodes = [node for node in dashboard["position"].values() if isinstance(node, dict)]
        placed = [node["meta"] for node in nodes if node["type"] == "CHART"]
        assert {meta["uuid"] for meta in placed} <= charts
        numbers = {meta["chartId"] for meta in placed}
        for item in dashboard["metadata"]["native_filter_configuration"]:
            assert {target["datasetUuid"] for target in item["targets"] if target} <= datasets
            assert set(item["scope"]["excluded"]) < numbers
        for node in nodes:
            assert all(child in dashboard["position"] for child in node.get("children", []))


def test_each_locale_has_its_own_complete_set(assets, bundle):
    for kind, names in (("datasets", assets.datasets), ("charts", assets.charts), ("dashboards", assets.dashboards)):
        for locale in LOCALES:
            assert len(of_kind(bundle, kind, f"_{locale}")) == len(names)
    slugs = [slug_of(dashboard, locale) for dashboard in assets.dashboards.values() for locale in LOCALES]
    assert slugs == ["journey-overview", "journey-overview-en"]


def test_nothing_that_people_read_is_in_the_other_language(assets, bundle):
    def seen(locale: str) -> list[str]:
        texts = [c["slice_name"] for c in of_kind(bundle, "charts", f"_{locale}").values()]
        texts += [m["metric_name"] for d in of_kind(bundle, "datasets", f"_{locale}").values() for m in d["metrics"]]
        for dashboard in of_kind(bundle, "dashboards", f"_{locale}").values():
            texts.append(dashboard["dashboard_title"])
            texts += [item["name"] for item in dashboard["metadata"]["native_filter_configuration"]]
            nodes = [node for node in dashboard["position"].values() if isinstance(node, dict)]
            texts += [node["meta"][key] for node in nodes for key in ("text", "code") if key in node["meta"]]
        return texts

    assert [text for text in seen("ko") if not HANGUL.search(text)] == []
    assert [text for text in seen("en") if HANGUL.search(text)] == []


def test_columns_are_labelled_by_dbt(bundle, models):
    columns = bundle["datasets/journeymart/session_daily_ko.yaml"]["columns"]
    assert [column["column_name"] for column in columns] == list(models["session_daily"])
    labels = {column["column_name"]: column["verbose_name"] for column in columns}
    assert labels["channel"] == models["session_daily"]["channel"].label["ko"] == "채널"


def test_help_explains_every_number_with_its_origin(assets, bundle):
    dashboard = bundle["dashboards/journey_overview_ko.yaml"]
    (text,) = [
        node["meta"]["code"]
        for node in dashboard["position"].values()
        if isinstance(node, dict) and node["type"] == "MARKDOWN"
    ]
    for name in assets.dashboards["journey_overview"].charts:
        chart = assets.charts[name]
        for metric in [chart.params.get("metric"), *chart.params.get("metrics", [])]:
            if metric:
                assert f"**{assets.datasets[chart.dataset].metrics[metric].label.ko}**" in text
    assert "`mart.session_daily` · 세션 수, 전환 세션" in text


def test_no_password_is_in_the_bundle(bundle):
    (database,) = of_kind(bundle, "databases").values()
    assert database["sqlalchemy_uri"] == f"postgresql+psycopg2://jm_dashboard:{MASKED_PASSWORD}@{ADDRESS}"
    assert database["allow_dml"] is False
    assert "statement_timeout=60s" in database["extra"]["engine_params"]["connect_args"]["options"]


def test_a_filter_reaches_exactly_the_charts_that_know_its_column(assets, bundle):
    dashboard = bundle["dashboards/journey_overview_ko.yaml"]
    names = dict(enumerate(assets.dashboards["journey_overview"].charts, start=1))
    reached = {
        item["id"]: {name for number, name in names.items() if number not in item["scope"]["excluded"]}
        for item in dashboard["metadata"]["native_filter_configuration"]
    }
    kpis = {name for name in names.values() if name.startswith("kpi_")}
    assert reached["NATIVE_FILTER-page"] == {"around_page"}
    assert reached["NATIVE_FILTER-device"] == kpis | {"daily_trend"}
    assert reached["NATIVE_FILTER-channel"] == kpis | {"daily_trend", "main_paths", "around_page", "top_error_pages"}
    assert reached["NATIVE_FILTER-period"] == set(names.values()) - {"status"}
