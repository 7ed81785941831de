"""The dashboard's files in a running Superset: imported, imported again, asked for their numbers, and removed."""

from __future__ import annotations

import io
import itertools
import shutil
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from supersetapiclient.client import SupersetClient

from journeymart.settings import Settings
from journeymart.superset.apply import apply, connect, list_assets
from journeymart.superset.bundle import asset_uuids, render
from journeymart.superset.specs import ASSETS, LOCALES

pytestmark = pytest.mark.platform

# Metadata that a bundle does not decide.
VOLATILE = {"metadata.yaml"}


@pytest.fixture(scope="module")
def client(platform: Settings) -> SupersetClient:
    apply(platform)
    return connect(platform)


@pytest.fixture(scope="module")
def charts(client, assets, models) -> dict[str, dict[str, Any]]:
    """The imported charts as the bundle has them, by name, with the id of their dataset in Superset."""
    dataset_ids = {item["uuid"]: item["id"] for item in list_assets(client, "datasets")}
    rendered = {path: yaml.safe_load(text) for path, text in render(assets, models, "host:1/db").items()}
    return {
        path.removeprefix("charts/").removesuffix(".yaml"): {
            **content,
            "dataset_id": dataset_ids[content["dataset_uuid"]],
        }
        for path, content in rendered.items()
        if path.startswith("charts/")
    }


def exported(client: SupersetClient, tmp_path) -> dict[str, str]:
    client.assets.export(tmp_path / "export.zip")
    with zipfile.ZipFile(io.BytesIO((tmp_path / "export.zip").read_bytes())) as archive:
        files = {name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist()}
    return {name: text for name, text in files.items() if name not in VOLATILE}


def ask(client: SupersetClient, chart: dict[str, Any], **filters: list[str]) -> list[list[dict[str, Any]]]:
    """The rows of a chart's queries, asked for as the dashboard does; `period` is a time range."""
    params = chart["params"]
    period = filters.pop("period", None)
    chosen = [{"col": column, "op": "IN", "val": values} for column, values in filters.items()]
    adhoc = [
        {**item, "comparator": period[0]} if item["operator"] == "TEMPORAL_RANGE" and period else item
        for item in params["adhoc_filters"]
    ]
    simple = [{"col": item["subject"], "op": item["operator"], "val": item["comparator"]} for item in adhoc]
    columns = [
        column
        for field in ("x_axis", "source", "target", "groupby")
        for column in ([params[field]] if isinstance(params.get(field), str) else params.get(field, []))
    ]
    metrics = [[params["metric"]]] if "metric" in params else [params["metrics"]]
    if "metrics_b" in params:
        metrics.append(params["metrics_b"])
    response = client.post(
        client.join_urls(client.base_url, "chart", "data"),
        json={
            "datasource": {"id": chart["dataset_id"], "type": "table"},
            "queries": [
                {"columns": columns, "metrics": names, "filters": simple + chosen, "row_limit": 1000}
                for names in metrics
            ],
            "form_data": {**params, "adhoc_filters": adhoc, "extra_form_data": {"filters": chosen}},
            "result_format": "json",
            "result_type": "full",
            "force": True,
        },
    )
    assert response.status_code == 200, response.text
    return [result["data"] for result in response.json()["result"]]


def test_applying_again_changes_nothing(client, platform, tmp_path):
    before = exported(client, tmp_path)
    ids = {kind: sorted(item["id"] for item in list_assets(client, kind)) for kind in asset_kinds()}
    again = apply(platform)
    assert again.removed == {"dashboards": [], "charts": [], "datasets": []}
    assert exported(client, tmp_path) == before
    assert {kind: sorted(item["id"] for item in list_assets(client, kind)) for kind in asset_kinds()} == ids


def asset_kinds() -> tuple[str, ...]:
    return ("dashboards", "charts", "datasets")


def test_superset_has_exactly_what_the_repository_has(client, assets):
    for kind, wanted in asset_uuids(assets).items():
        assert {item["uuid"] for item in list_assets(client, kind)} >= wanted


def test_every_chart_is_on_its_dashboard(client, assets):
    for dashboard in list_assets(client, "dashboards"):
        if dashboard["uuid"] in asset_uuids(assets)["dashboards"]:
            response = client.get(client.join_urls(client.base_url, "dashboard", dashboard["id"], "charts"))
            assert len(response.json()["result"]) == len(assets.charts)


def test_every_chart_answers_with_rows(client, charts):
    for name, chart in charts.items():
        for rows in ask(client, chart):
            assert rows, name
            assert any(value is not None for value in rows[0].values()), name


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(("name", "steps"), [("main_paths", 4), ("around_page", 4)])
def test_every_step_of_a_path_adds_up_to_all_sessions_without_loops(client, charts, locale, name, steps):
    (rows,) = ask(client, charts[f"{name}_{locale}"])
    by_step: dict[int, int] = {}
    for row in rows:
        source, target = (int(row[column].partition(" · ")[0]) for column in ("source", "target"))
        assert target == source + 1
        (sessions,) = (value for column, value in row.items() if column not in ("source", "target"))
        by_step[source] = by_step.get(source, 0) + sessions
    assert len(by_step) == steps
    assert len(set(by_step.values())) == 1


def test_main_paths_start_with_every_session(client, charts):
    (paths,) = ask(client, charts["main_paths_ko"])
    ((sessions,),) = [list(row.values()) for row in ask(client, charts["kpi_sessions_ko"])[0]]
    assert sum(row["이동 세션"] for row in paths if row["source"].startswith("1 · ")) == sessions


def test_the_chosen_page_stands_in_the_middle(client, charts, platform):
    (rows,) = ask(client, charts["main_paths_ko"])
    pages = {row["target"].partition(" · ")[2] for row in rows} - {"이탈", "기타"}
    for page in sorted(pages)[:3]:
        (around,) = ask(client, charts["around_page_ko"], chosen_page=[page])
        assert {row["source"] for row in around if row["source"].startswith("0 · ")} == {f"0 · {page}"}


@pytest.mark.parametrize("value", ["x' or 1=1 --", "'); drop table mart.node; --", "{{ 1 + 1 }}", "\\'"])
@pytest.mark.parametrize("column", ["chosen_page", "channel"])
def test_a_hostile_filter_value_finds_nothing(client, charts, column, value):
    assert ask(client, charts["around_page_ko"], **{column: [value]}) == [[]]


def test_the_period_reaches_the_ranking(client, charts):
    assert ask(client, charts["main_paths_ko"], period=["1970-01-01 : 1970-01-02"]) == [[]]
    (trend, _) = ask(client, charts["daily_trend_ko"])
    days = sorted(row["session_date"] for row in trend)
    last = datetime.fromtimestamp(days[-1] / 1000, tz=UTC).date()
    period = [f"{last} : {last + timedelta(days=1)}"]
    (paths,) = ask(client, charts["main_paths_ko"], period=period)
    (around,) = ask(client, charts["around_page_ko"], period=period)
    ((total,),) = [list(row.values()) for row in ask(client, charts["kpi_sessions_ko"], period=period)[0]]
    assert sum(row["이동 세션"] for row in paths if row["source"].startswith("1 · ")) == total
    assert 0 < sum(row["이동 세션"] for row in around if row["source"].startswith("0 · ")) <= total
    pages = {row["source"] for row in paths if row["source"].startswith("1 · ")}
    assert len(pages - {"1 · 기타"}) <= 6


def test_funnel_steps_come_with_both_conversions(client, charts):
    (rows,) = ask(client, charts["account_funnel_steps_ko"])
    rows.sort(key=lambda row: row["step"])
    assert (rows[0]["첫 단계 대비"], rows[0]["직전 단계 대비"]) == (1, 1)
    for before, row in itertools.pairwise(rows):
        assert row["직전 단계 대비"] == pytest.approx(row["도달 (명)"] / before["도달 (명)"])
        assert row["첫 단계 대비"] == pytest.approx(row["도달 (명)"] / rows[0]["도달 (명)"])


def test_what_is_gone_from_the_repository_goes_and_what_users_made_stays(client, platform, charts, tmp_path):
    more = tmp_path / "assets"
    shutil.copytree(ASSETS, more)
    dashboard = more / "dashboards" / "journey_overview.yml"
    text = dashboard.read_text()
    (more / "dashboards" / "extra.yml").write_text(text.replace("slug: journey-overview", "slug: extra"))
    (more / "charts" / "extra.yml").write_text((more / "charts" / "kpi_sessions.yml").read_text())
    dashboard.write_text(text.replace("kpi_sessions: 2", "kpi_sessions: 1\n          extra: 1"))
    apply(platform, more)
    response = client.post(
        client.charts.base_url,
        json={
            "slice_name": "a user's own",
            "viz_type": "table",
            "datasource_id": charts["kpi_sessions_ko"]["dataset_id"],
            "datasource_type": "table",
            "params": "{}",
        },
    )
    assert response.status_code == 201, response.text
    try:
        removed = apply(platform).removed
        titles = {item["slice_name"] for item in list_assets(client, "charts")}
    finally:
        client.charts.delete(response.json()["id"])
    assert removed == {
        "dashboards": ["Customer journey overview", "고객 여정 개요"],
        "charts": ["Sessions", "세션"],
        "datasets": [],
    }
    assert "a user's own" in titles
