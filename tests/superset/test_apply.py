"""The dashboard's files in a running Superset: imported, imported again, asked for their numbers, and removed."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from supersetapiclient.client import SupersetClient

from journeymart.analysis import call
from journeymart.db import connect as connect_database
from journeymart.settings import REPO, Settings
from journeymart.superset.apply import apply, list_assets
from journeymart.superset.bundle import asset_uuid, asset_uuids, contents, own_name
from journeymart.superset.cache import refresh
from journeymart.superset.client import connect
from journeymart.superset.specs import ASSETS, LOCALES, slug_of

pytestmark = pytest.mark.platform

# Metadata that a bundle does not decide.
VOLATILE = {"metadata.yaml"}


@pytest.fixture(scope="module")
def client(platform: Settings) -> SupersetClient:
    """Of a platform to which the assets have been applied, as the demo does."""
    return connect(platform)


@pytest.fixture(scope="module")
def charts(client, assets, models) -> dict[str, dict[str, Any]]:
    """The imported charts as the bundle has them, by name, with the id of their dataset in Superset."""
    dataset_ids = {item["uuid"]: item["id"] for item in list_assets(client, "datasets")}
    return {
        path.removeprefix("charts/").removesuffix(".yaml"): {
            **content,
            "dataset_id": dataset_ids[content["dataset_uuid"]],
        }
        for path, content in contents(assets, models, "host:1/db").items()
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
        for field in ("x_axis", "source", "target", "groupby", "all_columns")
        for column in ([params[field]] if isinstance(params.get(field), str) else params.get(field, []))
    ]
    metrics = [[params["metric"]]] if "metric" in params else [params.get("metrics", [])]
    if "metrics_b" in params:
        metrics.append(params["metrics_b"])
    order = [[params["timeseries_limit_metric"], True]] if "timeseries_limit_metric" in params else []
    response = client.post(
        client.join_urls(client.base_url, "chart", "data"),
        json={
            "datasource": {"id": chart["dataset_id"], "type": "table"},
            "queries": [
                {"columns": columns, "metrics": names, "filters": simple + chosen, "orderby": order, "row_limit": 1000}
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


def by(chart: dict[str, Any], *columns: str) -> dict[str, Any]:
    """The chart by other columns: those it shows may be links."""
    return {**chart, "params": {**chart["params"], "groupby": list(columns)}}


KEY_NUMBERS = {
    "세션": "sessions", "방문자": "visitors", "전환율": "conversion_rate", "거래": "transactions",
    "거래 금액": "amount", "오류 세션": "error_sessions",
}  # fmt: skip


def key_number(
    client: SupersetClient, charts: dict[str, dict[str, Any]], label: str, **filters: list[str]
) -> list[Any]:
    """What the overview shows of it, then what it compares that with, if it does."""
    (rows,) = ask(client, charts[f"journey_overview.kpi_{KEY_NUMBERS[label]}_ko"], **filters)
    return [row[label] for row in sorted(rows, key=lambda row: row["session_date"], reverse=True)]


def test_applying_again_imports_only_what_somebody_changed_meanwhile(client, platform, assets):
    def titles() -> dict[str, tuple[int, str]]:
        return {item["uuid"]: (item["id"], item["slice_name"]) for item in list_assets(client, "charts")}

    before = titles()
    assert set(apply(platform).imported.values()) == {0}
    number, _ = before[asset_uuid("charts", own_name("start", "status"), "en")]
    response = client.put(client.join_urls(client.charts.base_url, number), json={"slice_name": "somebody was here"})
    assert response.status_code == 200, response.text
    assert titles() != before
    again = apply(platform)
    start = assets.dashboards["start"]
    assert again.imported == {
        "databases": 1, "datasets": len(assets.datasets_of(start)), "charts": len(start.charts), "dashboards": 1,
    }  # fmt: skip
    assert again.removed == {"dashboards": [], "charts": [], "datasets": [], "roles": []}
    assert titles() == before


def test_a_publication_makes_superset_forget_what_it_has_kept(client, platform, charts):
    chart = charts["start.status_ko"]

    def is_kept() -> bool:
        response = client.post(
            client.join_urls(client.base_url, "chart", "data"),
            json={
                "datasource": {"id": chart["dataset_id"], "type": "table"},
                "queries": [{"columns": [], "metrics": chart["params"]["metrics"][:1], "row_limit": 17}],
            },
        )
        assert response.status_code == 200, response.text
        return bool(response.json()["result"][0]["is_cached"])

    is_kept()
    assert is_kept()
    assert refresh(platform)
    assert not is_kept()
    assert is_kept()


def test_superset_has_exactly_what_the_repository_has(client, assets):
    for kind, wanted in asset_uuids(assets).items():
        assert {item["uuid"] for item in list_assets(client, kind)} >= wanted


def test_every_chart_is_on_its_dashboard(client, assets):
    expected = {slug_of(d, locale): len(d.charts) for d in assets.dashboards.values() for locale in LOCALES}
    for dashboard in list_assets(client, "dashboards"):
        if dashboard["uuid"] in asset_uuids(assets)["dashboards"]:
            response = client.get(client.join_urls(client.base_url, "dashboard", dashboard["id"], "charts"))
            assert len(response.json()["result"]) == expected[dashboard["slug"]]


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(("name", "steps"), [("main_paths.main_paths", 5), ("around_paths.around", 4)])
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
    (paths,) = ask(client, charts["main_paths.main_paths_ko"])
    (sessions,) = key_number(client, charts, "세션")
    assert sum(row["이동 세션"] for row in paths if row["source"].startswith("1 · ")) == sessions
    (top,) = ask(client, charts["main_paths.top_paths_ko"])
    assert sum(row["세션 (건)"] for row in top) == sessions


def test_the_chosen_page_stands_in_the_middle(client, charts):
    (rows,) = ask(client, charts["main_paths.main_paths_ko"])
    page = min({row["target"].partition(" · ")[2] for row in rows} - {"이탈", "기타"})
    chart = charts["around_paths.around_ko"]
    for occurrence in ("처음", "마지막", "모두"):
        (around,) = ask(client, chart, anchor=[f"{page} · 페이지"], occurrence=[occurrence])
        assert {row["source"] for row in around if row["source"].startswith("0 · ")} == {f"0 · {page}"}


def test_a_journey_goes_on_after_the_visit(client, charts):
    """Of persons: fewer than there are visits, and of fewer it ends."""
    (within,) = ask(client, charts["around_paths.around_after_ko"], journey=["방문 안"])
    assert within == ask(client, charts["around_paths.around_after_ko"])[0]
    (across,) = ask(client, charts["around_paths.around_after_ko"], journey=["앞뒤 30일"])
    assert 0 < sum(row["이동 세션"] for row in across) < sum(row["이동 세션"] for row in within)
    assert sum(row["비율"] for row in across) == pytest.approx(1)

    def ending(rows):
        return next(row["비율"] for row in rows if "이탈" in row["to_shown"])

    assert ending(across) < ending(within)
    numbers = charts["between_paths.between_numbers_ko"]
    (visits,), (persons,) = ask(client, numbers)[0], ask(client, numbers, journey=["앞뒤 7일"])[0]
    assert persons["시작 세션"] < visits["시작 세션"]
    assert persons["도달률"] > visits["도달률"]


def test_an_error_can_be_the_middle(client, charts):
    (errors,) = ask(client, by(charts["journey_overview.top_error_pages_ko"], "error_code"))
    code = next(row["error_code"] for row in errors if row["error_code"] != "(none)")
    (before,) = ask(client, charts["around_paths.around_before_ko"], anchor=[f"{code} · 오류"])
    (after,) = ask(client, charts["around_paths.around_after_ko"], anchor=[f"{code} · 오류"])
    met = sum(row["이동 세션"] for row in before)
    assert 0 < met == sum(row["이동 세션"] for row in after)
    assert sum(row["비율"] for row in before) == pytest.approx(1)


def test_a_filter_that_leaves_everything_changes_no_number(client, platform, charts):
    """Of an error without a code, too, and of one that a session meets on two domains."""
    met = {"visitor_id": "two-domains", "device_type": "desktop", "page_code": "ERR", "error_page": "ERR"}
    lines = [
        {**met, "event_id": f"met-{minute}", "event_time": f"2026-06-02T12:0{minute}:00+09:00", **more}
        for minute, more in enumerate([{}, {"error_code": "E-2", "domain": "a"}, {"error_code": "E-2", "domain": "b"}])
    ]
    landed = platform.home / "landing" / "clickstream" / "two-domains.ndjson"
    landed.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    # without what `models` has told dbt, which reads the project without a server
    own = {name: value for name, value in os.environ.items() if not name.startswith(("JM_", "JOURNEYMART_PG_"))}
    own |= {"JOURNEYMART_HOME": str(platform.home), "JOURNEYMART_DEFINITIONS": str(platform.home / "definitions")}
    subprocess.run([REPO / "scripts" / "journeymart", "run"], env=own, check=True)
    devices = ["PC", "태블릿", "휴대폰"]

    errors = by(charts["pain_points.top_error_pages_ko"], "page", "error_code")
    counted = [
        {(row["page"], row["error_code"]): (row["오류 (건)"], row["영향 세션 (건)"]) for row in rows}
        for (rows,) in (ask(client, errors), ask(client, errors, device_type=devices))
    ]
    assert counted[0] == counted[1]
    assert {code: numbers for (page, code), numbers in counted[0].items() if page == "ERR"} == {
        "(none)": (1, 1), "E-2": (2, 1)
    }  # fmt: skip

    def screens(**filters: list[str]) -> int:
        (rows,) = ask(client, charts["journey_overview.key_numbers_ko"], **filters)
        return sum(row["기준 건수"] or 0 for row in rows)

    assert sum(screens(device_type=[device]) for device in devices) == screens() > 0


def test_nobody_goes_on_from_the_last_step_of_a_rule(client, charts):
    (rows,) = ask(client, charts["detection.detection_steps_ko"])
    last = {row["rule"]: row["다음 단계로"] for row in rows}
    assert set(last.values()) == {None}
    assert any(row["다음 단계로"] for row in rows)


def test_ways_add_up_to_the_sessions_at_the_start(client, charts):
    (ways,) = ask(client, charts["between_paths.between_ways_table_ko"])
    ((numbers,),) = ask(client, charts["between_paths.between_numbers_ko"])
    assert sum(row["세션 (건)"] for row in ways) == numbers["시작 세션"] >= numbers["도달 세션"] > 0
    assert any(" → " in row["way"] for row in ways)


def test_steps_follow_the_order_in_which_they_were_chosen(client, charts):
    chart = charts["path_steps.path_steps_table_ko"]
    (default,) = ask(client, chart)
    pages = [row["step"].partition(". ")[2] for row in sorted(default, key=lambda row: row["step"])]
    for order in (pages[:2], pages[:2][::-1]):
        (rows,) = ask(client, chart, step_page=order)
        rows.sort(key=lambda row: row["step"])
        assert [row["step"] for row in rows] == [f"1. {order[0]}", f"2. {order[1]}"]
        assert rows[0]["도달 (세션)"] == rows[1]["도달 (세션)"] + rows[0]["이탈 (세션)"]


def test_a_segment_limits_paths_funnels_and_figures_to_its_customers(client, charts):
    (sizes,) = ask(client, charts["segments.segment_activity_ko"])
    sessions = {row["segment"]: row["세션 (건)"] for row in sizes}
    chosen = {"segment": ["공격투자형"]}
    (kpi,) = key_number(client, charts, "세션", **chosen)
    (paths,) = ask(client, charts["main_paths.main_paths_ko"], **chosen)
    assert (
        kpi == sum(row["이동 세션"] for row in paths if row["source"].startswith("1 · ")) == sessions["공격투자형"] > 0
    )
    (groups,) = ask(client, charts["funnels.funnel_groups_ko"], funnel=["계좌 개설"])
    started = {row["people"]: row["시작 (명)"] for row in groups}
    ((limited,),) = [
        list(row.values())
        for row in ask(client, charts["funnels.funnel_started_ko"], funnel=["계좌 개설"], **chosen)[0]
    ]
    assert 0 < started["공격투자형"] == limited < started["전체"]


@pytest.mark.parametrize(
    ("chosen", "asked"),
    [
        ({}, {}),
        ({"channel": ["app"]}, {"channel": "app"}),
        ({"channel": ["web"], "device_type": ["desktop"]}, {"channel": "web", "device_type": "desktop"}),
        ({"segment": ["공격투자형"]}, {"segment": "SG-AGGRESSIVE"}),
    ],
)
def test_key_numbers_of_departments_take_the_filters(client, charts, platform, chosen, asked):
    """All filters of the overview, as the function takes them."""
    with connect_database("jm_dashboard", settings=platform) as connection:
        labels = connection.execute("select distinct kpi_id, label_ko from mart.kpi_daily").fetchall()
    counted = {
        label: sum(row["value"] for row in call(platform, "kpi", {"kpi": kpi, **asked}).records())
        for kpi, label in labels
    }
    (shown,) = ask(client, charts["journey_overview.key_numbers_ko"], **chosen)
    assert {row["kpi"]: row["건수"] for row in shown} == {label: count for label, count in counted.items() if count}


@pytest.fixture(scope="module")
def afternoon(platform: Settings) -> Iterator[datetime]:
    """Until when data is there, as far as it is told: the last day of the sample is over."""
    moved = "update ops.publication set watermark_at = watermark_at + %s where publication_id = %s"
    latest = "select publication_id, watermark_at from mart.publication_latest"
    with connect_database("jm_admin", settings=platform, autocommit=True) as connection:
        connection.execute("set timezone to 'Asia/Seoul'")
        [(number, watermark)] = connection.execute(latest).fetchall()
        connection.execute(moved, (-timedelta(hours=10), number))
        yield watermark - timedelta(hours=10)
        connection.execute(moved, (timedelta(hours=10), number))


@pytest.mark.parametrize(
    ("begin", "end", "chosen", "limit", "is_compared"),
    [
        (1, 2, {}, "true", True),
        (1, 2, {"channel": ["앱"]}, "channel = 'app'", True),
        (2, 4, {"segment": ["공격투자형"]}, "customer_key in (select mart.segment_customers('SG-AGGRESSIVE'))", True),
        (-1, None, {}, "true", True),
        (0, 2, {}, "true", False),
        (None, 2, {}, "true", False),
        (None, None, {}, "true", False),
    ],
)
def test_a_key_number_is_compared_with_the_period_before(
    client, charts, platform, afternoon, begin, end, chosen, limit, is_compared
):
    """As long, and of its last day until the same time as the chosen one; begin -1 is the day that is not over."""
    count = f"""
        select
            count(*), count(distinct visitor_key), avg(is_converted::integer), sum(transactions),
            coalesce(sum(amount_krw), 0) / 1000000, count(*) filter (where errors > 0)
        from mart.session
        where session_date >= %s and session_date < %s and started_at <= %s and {limit}
    """  # noqa: S608 - no value in it
    with connect_database("jm_report", settings=platform) as connection:
        [(first,)] = connection.execute("select min(session_date) from mart.session").fetchall()
        tomorrow = afternoon.date() + timedelta(days=1)
        starts = None if begin is None else (tomorrow if begin < 0 else first) + timedelta(days=begin)
        ends = None if end is None else first + timedelta(days=end)
        since, until = starts or first, ends or tomorrow
        spans: list[tuple[Any, ...]] = [(since, until, "infinity")]
        if is_compared:
            spans.append((since - (until - since), since, afternoon - (until - since)))
        expected = [connection.execute(count.encode(), span).fetchall()[0] for span in spans]
    period = [f"{starts or ''} : {ends or ''}"] if starts or ends else []
    shown = zip(*(key_number(client, charts, label, period=period, **chosen) for label in KEY_NUMBERS), strict=True)
    assert [[float(number) for number in numbers] for numbers in shown] == [
        pytest.approx([float(number) for number in numbers]) for numbers in expected
    ]
    assert all(number > 0 for numbers in expected for number in numbers)


def test_a_visitor_counts_once_in_every_cell(client, charts, platform, assets):
    """However many sessions, days, channels and devices the visitor comes by."""
    chosen = {"channel": ["web", "app"], "device_type": ["desktop", "mobile"]}
    with connect_database("jm_dashboard", settings=platform) as connection:
        visitors: dict[str | None, int] = dict(
            connection.execute(
                "select inflow_channel, count(distinct visitor_key) from mart.session"
                " where channel = any(%s) and device_type = any(%s) group by cube (inflow_channel)",
                list(chosen.values()),
            ).fetchall()
        )
    (total,) = key_number(client, charts, "방문자", **chosen)
    (rows,) = ask(client, charts["channels.channel_table_ko"], **chosen)
    ids = {label.ko: key for key, label in assets.names["channels"].items()}
    counted = {ids[row["inflow_channel"]]: row["방문자"] for row in rows}
    assert {**counted, None: total} == visitors
    assert sum(counted.values()) > total > 0


def test_a_value_is_chosen_by_its_name(client, charts, platform):
    """As the filter offers it (sources.yml)."""
    with connect_database("jm_dashboard", settings=platform) as connection:
        query = "select channel, sum(sessions) from mart.session_daily group by 1"
        sessions: dict[str, int] = dict(connection.execute(query).fetchall())
    names = {"앱": sessions["app"], "웹": sessions["web"]}
    listed, _ = ask(client, by(charts["journey_overview.daily_trend_ko"], "channel"))
    assert {row["channel"] for row in listed} == set(names)
    for name, number in names.items():
        assert sum(row["세션"] for row in listed if row["channel"] == name) == number
        assert key_number(client, charts, "세션", channel=[name]) == [number]
        (rows,) = ask(client, charts["channels.channel_table_ko"], channel=[name])
        assert sum(row["세션 (건)"] for row in rows) == number


def test_people_who_stopped_are_all_who_did_not_go_on(client, charts):
    (steps,) = ask(client, by(charts["pack_remittance.funnel_steps_ko"], "step"))
    (onward,) = ask(client, charts["pack_remittance.funnel_next_ko"])
    for row in steps:
        stopped = sum(other["멈춘 사람 (명)"] for other in onward if other["step"] == row["step"])
        assert stopped == row["이탈 (명)"] + row["진행 중 (명)"]


def test_lines_are_accounted_for(client, charts, assets):
    (rows,) = ask(client, charts["landing.landing_balance_ko"])
    assert {row["source"] for row in rows} == {label.ko for label in assets.names["sources"].values()}
    for row in rows:
        accounted = sum(row[name] for name in ("마트 반영", "중복", "봇", "격리", "제외", "파기"))
        assert row["수신 (행)"] == accounted
        assert row["차이"] == 0


@pytest.mark.parametrize("value", ["x' or 1=1 --", "'); drop table mart.node; --", "{{ 1 + 1 }}", "\\'"])
@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("around_paths.around", "anchor"),
        ("around_paths.around", "occurrence"),
        ("around_paths.around", "journey"),
        ("between_paths.between_ways_table", "journey"),
        ("around_paths.next_pages", "anchor"),
        ("channels.channel_table", "inflow_channel"),
        ("channels.channel_table", "channel"),
        ("main_paths.main_paths", "domain"),
        ("main_paths.main_paths", "channel"),
        ("between_paths.between_ways_table", "start_page"),
        ("path_steps.path_steps_table", "step_page"),
        ("funnels.funnel", "funnel"),
        ("funnels.funnel", "segment"),
        ("main_paths.main_paths", "segment"),
        ("journey_overview.kpi_sessions", "segment"),
        ("journey_overview.key_numbers", "segment"),
        ("segments.segment_moves", "segment_a"),
    ],
)
def test_a_hostile_filter_value_finds_nothing(client, charts, name, column, value):
    rows = ask(client, charts[f"{name}_ko"], **{column: [value]})[0]
    assert [number for row in rows for number in row.values() if number] == []


def test_the_period_reaches_the_ranking(client, charts):
    assert ask(client, charts["journey_overview.main_paths_ko"], period=["1970-01-01 : 1970-01-02"]) == [[]]
    (trend, _) = ask(client, charts["journey_overview.daily_trend_ko"])
    days = sorted(row["session_date"] for row in trend)
    last = datetime.fromtimestamp(days[-1] / 1000, tz=UTC).date()
    period = [f"{last} : {last + timedelta(days=1)}"]
    (paths,) = ask(client, charts["journey_overview.main_paths_ko"], period=period)
    (around,) = ask(client, charts["around_paths.around_ko"], period=period)
    total, *_ = key_number(client, charts, "세션", period=period)
    assert sum(row["이동 세션"] for row in paths if row["source"].startswith("1 · ")) == total
    assert 0 < sum(row["이동 세션"] for row in around if row["source"].startswith("0 · ")) <= total
    pages = {row["source"] for row in paths if row["source"].startswith("1 · ")}
    assert len(pages - {"1 · 기타"}) <= 6


def test_a_day_is_drawn_at_its_own_midnight(client, charts):
    """Charts count in UTC: a day of Seoul's that came with its zone would begin on the day before."""
    chart = charts["journey_overview.daily_trend_ko"]
    axis = {
        "columnType": "BASE_AXIS", "timeGrain": "P1D", "expressionType": "SQL", "label": "session_date",
        "sqlExpression": "session_date",
    }  # fmt: skip
    drawn, _ = ask(client, chart | {"params": chart["params"] | {"x_axis": [axis]}})
    days, _ = ask(client, chart)
    assert sorted(row["session_date"] for row in drawn) == sorted(row["session_date"] for row in days)
    assert all(row["session_date"] % 86_400_000 == 0 for row in drawn)


def test_funnel_steps_come_with_both_conversions(client, charts):
    (rows,) = ask(client, charts["journey_overview.main_funnel_steps_ko"])
    rows.sort(key=lambda row: row["step"])
    assert (rows[0]["첫 단계 대비"], rows[0]["직전 단계 대비"]) == (1, 1)
    for before, row in itertools.pairwise(rows):
        assert row["직전 단계 대비"] == pytest.approx(row["도달 (명)"] / before["도달 (명)"])
        assert row["첫 단계 대비"] == pytest.approx(row["도달 (명)"] / rows[0]["도달 (명)"])


def test_what_is_gone_from_the_repository_goes_and_what_users_made_stays(client, platform, charts, tmp_path):
    before = exported(client, tmp_path)
    more = tmp_path / "assets"
    shutil.copytree(ASSETS, more)
    dashboard = more / "dashboards" / "journey_overview.yml"
    text = dashboard.read_text()
    extra = yaml.safe_load((more / "dashboards" / "start.yml").read_text()) | {"slug": "extra"}
    del extra["tabs"][0]["rows"][1]  # the menu, which lists all dashboards but the one that shows it
    (more / "dashboards" / "extra.yml").write_text(yaml.safe_dump(extra, allow_unicode=True))
    menu = more / "menu.yml"
    menu.write_text(menu.read_text().replace("[journey_overview,", "[journey_overview, extra,"))
    roles = more / "roles.yml"
    roles.write_text(roles.read_text() + "  extra: {title: {ko: 추가, en: Extra}, dashboards: [extra]}\n")
    (more / "charts" / "extra.yml").write_text((more / "charts" / "kpi_sessions.yml").read_text())
    dashboard.write_text(text.replace("kpi_sessions: 2", "kpi_sessions: 1\n          extra: 1"))
    apply(platform, more)
    response = client.post(
        client.charts.base_url,
        json={
            "slice_name": "a user's own",
            "viz_type": "table",
            "datasource_id": charts["journey_overview.kpi_sessions_ko"]["dataset_id"],
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
        "dashboards": ["Start", "시작"],
        "charts": ["Data status", "Sessions", "데이터 상태", "세션"],
        "datasets": ["extra.publication_latest.en", "extra.publication_latest.ko"],
        "roles": ["journeymart_extra"],
    }
    assert "a user's own" in titles
    assert exported(client, tmp_path) == before
