"""Edits made in the browser, as Superset exports them, come back as the smallest change of the authored files."""

from __future__ import annotations

import copy
import difflib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from journeymart.superset.bundle import asset_uuid, contents, own_name
from journeymart.superset.pull import Pulled, write_back
from journeymart.superset.specs import ASSETS, AssetError, read_assets
from journeymart.superset.yaml_edit import GONE, edit

Found = dict[str, dict[str, Any]]


@pytest.fixture
def directory(tmp_path) -> Path:
    shutil.copytree(ASSETS, tmp_path / "assets")
    return tmp_path / "assets"


@pytest.fixture(scope="module")
def exported(assets, models) -> Callable[[], Found]:
    files = contents(assets, models, "host:1/database").values()
    return lambda: copy.deepcopy({content["uuid"]: content for content in files if "uuid" in content})


def chart(found: Found, dashboard: str, name: str, locale: str = "ko") -> dict[str, Any]:
    return found[asset_uuid("charts", own_name(dashboard, name), locale)]


def changed_lines(directory: Path) -> dict[str, list[str]]:
    """Lines that differ from the shipped files, by file."""
    result = {}
    for path in sorted(directory.rglob("*.yml")):
        name = str(path.relative_to(directory))
        before, after = ((root / name).read_text().splitlines() for root in (ASSETS, directory))
        lines = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[:2] not in ("--", "++")]
        if lines:
            result[name] = [line for line in lines if not line.startswith("@@")]
    return result


def test_what_nobody_edited_changes_nothing(directory, models, exported):
    assert write_back(directory, models, exported()) == Pulled()
    assert changed_lines(directory) == {}


def test_an_edited_chart_comes_back_in_authored_names(directory, models, exported):
    found = exported()
    edited = chart(found, "pain_points", "top_error_pages")
    edited["slice_name"] = "오류: 많은 페이지"
    edited["params"] |= {"metrics": ["영향 세션 (건)", "오류 (건)"], "row_limit": 50, "page_length": 25, "slice_id": 7}
    assert write_back(directory, models, found) == Pulled(changed=["charts/top_error_pages.yml"])
    assert changed_lines(directory) == {
        "charts/top_error_pages.yml": [
            "-title: {ko: 오류가 많은 페이지, en: Top error pages}",
            "+title: {ko: '오류: 많은 페이지', en: Top error pages}",
            "-  metrics: [errors, sessions]",
            "+  metrics: [sessions, errors]",
            "-  row_limit: 200",
            "-  page_length: 20",
            "+  row_limit: 50",
            "+  page_length: 25",
        ]
    }


def test_a_moved_chart_changes_its_row_only(directory, models, exported):
    found = exported()
    dashboard = found[asset_uuid("dashboards", "channels", "ko")]
    dashboard["position"]["CHART-channel_trend"]["meta"]["height"] = 60
    dashboard["position"]["TAB-1"]["meta"]["text"] = "유입"
    dashboard["metadata"]["native_filter_configuration"][0]["name"] = "조회 기간"
    assert write_back(directory, models, found).notes == []
    assert changed_lines(directory) == {
        "dashboards/channels.yml": [
            "-    label: {ko: 기간, en: Period}",
            "+    label: {ko: 조회 기간, en: Period}",
            "-  - title: {ko: 유입 채널, en: Inflow channels}",
            "+  - title: {ko: 유입, en: Inflow channels}",
            "-      - height: 40",
            "+      - height: 60",
        ]
    }


def test_a_row_that_is_gone_is_taken_out(directory, models, exported):
    found = exported()
    position = found[asset_uuid("dashboards", "funnels", "ko")]["position"]
    position["TAB-1"]["children"].remove("ROW-1-4")
    # Charts that no dashboard shows are an error for the author to decide; the files stay as they were.
    with pytest.raises(AssetError, match=r"charts/funnel_time\.yml: no dashboard shows it"):
        write_back(directory, models, found)
    assert changed_lines(directory) == {}


def test_a_chart_saved_in_the_editor_changes_by_what_was_edited(directory, models, exported):
    """The editor writes the values of all its controls; test_dashboard.py saves one in a browser."""
    found = exported()
    edited = chart(found, "channels", "channel_trend")
    edited["params"] |= {"matrixify_row_height": 300, "y_axis_bounds": [None, None], "color_scheme": "journeymart"}
    edited["params"] |= {"temporal_columns_lookup": {"session_date": True}, "markerSize": 6, "zoomable": True}
    write_back(directory, models, found)
    assert changed_lines(directory) == {"charts/channel_trend.yml": ["+  zoomable: true"]}


def test_a_title_given_on_the_dashboard_is_the_title_of_the_chart(directory, models, exported):
    found = exported()
    position = found[asset_uuid("dashboards", "channels", "en")]["position"]
    position["CHART-channel_trend"]["meta"]["sliceNameOverride"] = "Daily inflow"
    write_back(directory, models, found)
    assert changed_lines(directory) == {
        "charts/channel_trend.yml": [
            "-title: {ko: 일별 유입, en: Inflow by day}",
            "+title: {ko: 일별 유입, en: Daily inflow}",
        ]
    }


def test_of_the_help_the_introduction_comes_back_and_generated_text_does_not(directory, models, exported):
    found = exported()
    help_text = found[asset_uuid("dashboards", "channels", "ko")]["position"]["MARKDOWN-2"]["meta"]
    written = help_text["code"]
    help_text["code"] = written.replace("### 숫자", "### 수")
    note = "channels: only what stands above the tables of the help can be written down"
    assert write_back(directory, models, found) == Pulled(notes=[note])
    help_text["code"] = written.replace("읽는 법\n", "읽는 법\n\n새 문장: 하나.\n")
    assert write_back(directory, models, found).notes == []
    assert changed_lines(directory) == {"dashboards/channels.yml": ["+", "+        새 문장: 하나."]}
    rendered = contents(read_assets(directory), models, "host:1/database")["dashboards/channels_ko.yaml"]
    assert rendered["position"]["MARKDOWN-2"]["meta"]["code"] == help_text["code"]


def test_copies_that_were_edited_differently_are_a_conflict(directory, models, exported):
    found = exported()
    chart(found, "pain_points", "top_error_pages")["params"]["row_limit"] = 10
    chart(found, "journey_overview", "top_error_pages", "en")["params"]["row_limit"] = 20
    with pytest.raises(AssetError, match=r"top_error_pages\.yml: params\.row_limit: (10 or 20|20 or 10)\?"):
        write_back(directory, models, found)
    assert changed_lines(directory) == {}


def test_what_yaml_cannot_say_is_reported(directory, models, exported):
    found = exported()
    position = found[asset_uuid("dashboards", "channels", "ko")]["position"]
    position["X"] = {"type": "CHART", "id": "X", "children": [], "meta": {"uuid": "?", "sliceName": "mine", "width": 4}}
    position["ROW-1-2"]["children"].append("X")
    pack = found[asset_uuid("dashboards", "pack_sec_out", "ko")]
    pack["dashboard_title"] = "다른 이름"
    pulled = write_back(directory, models, found)
    assert pulled.changed == []
    assert pulled.notes == [
        "channels: chart 'mine' is not one of the repository",
        "dashboard pk-sec-out is made of a pack (definitions/packs.yml); edit that",
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({("a", "ko"): "나, 다"}, "# top\na: {ko: '나, 다', en: x}  # why\nb:\n  c: 1\n\n  # d\n  d: [1, 2]\n"),
        ({("b", "c"): GONE}, "# top\na: {ko: 가, en: x}  # why\nb:\n\n  # d\n  d: [1, 2]\n"),
        ({("a", "en"): GONE}, "# top\na: {ko: 가}  # why\nb:\n  c: 1\n\n  # d\n  d: [1, 2]\n"),
        ({("b", "e"): True}, "# top\na: {ko: 가, en: x}  # why\nb:\n  c: 1\n\n  # d\n  d: [1, 2]\n  e: true\n"),
        ({("b", "d", 1): "#"}, "# top\na: {ko: 가, en: x}  # why\nb:\n  c: 1\n\n  # d\n  d: [1, '#']\n"),
    ],
)  # fmt: skip
def test_one_value_changes_and_the_rest_of_the_text_stays(change, expected):
    text = "# top\na: {ko: 가, en: x}  # why\nb:\n  c: 1\n\n  # d\n  d: [1, 2]\n"
    assert edit(text, change) == expected
    assert yaml.safe_load(expected) == yaml.safe_load(edit(text, change))


def test_an_edited_copy_is_still_valid(directory, models, exported):
    found = exported()
    chart(found, "channels", "campaign_table")["params"]["groupby"] = ["utm_source"]
    write_back(directory, models, found)
    assert read_assets(directory).charts["campaign_table"].params["groupby"] == ["utm_source"]


def test_a_text_on_lines_of_its_own_stays_one():
    text = "a:\n  ko: >-\n    x\n    y\n\n  # c\n  en: |\n    one\n\nb: 1\n"
    changed = edit(text, {("a", "ko"): "k: l", ("a", "en"): "1\n\n# 2\n"})
    assert changed == "a:\n  ko: |-\n    k: l\n\n  # c\n  en: |\n    1\n\n    # 2\n\nb: 1\n"
    assert yaml.safe_load(changed) == {"a": {"ko": "k: l", "en": "1\n\n# 2\n"}, "b": 1}
