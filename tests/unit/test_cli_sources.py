"""The tracking plan as a page."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from journeymart.cli.sources import app
from journeymart.definitions.sources import Sources, load_sources


def test_the_page_says_of_every_field_what_it_is_and_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "sources.yml").write_text("sources:\n  clickstream:\n    extends: ga4\n")
    done = CliRunner().invoke(app, ["clickstream", "--definitions", str(tmp_path)])
    lines = done.stdout.splitlines()
    assert lines[0] == "## clickstream: 행동 로그 / Clickstream"
    assert lines[2] == "Times without an offset are in UTC. * is required."
    assert len(lines) == 6 + len(load_sources().sources["clickstream"].fields)
    assert (
        "| event_time* | 발생 시각 | Event time | time | event_timestamp as epoch_us |  |  |"
        " 기기에서 일이 일어난 시각. | When it happened on the device. |" in lines
    )
    assert (
        "| channel | 채널 | Channel | key | platform; WEB → web; ANDROID → app; IOS → app; * → other; default web |"
        "  |  | web, app 등. | web, app and the like. |" in lines
    )
    assert (
        "| ip | IP 주소 | IP address | text | ip, ip_address, client_ip |  | ip | 기기의 주소. |"
        " Address of the device. |" in lines
    )


def test_the_plan_as_json_is_the_plan() -> None:
    done = CliRunner().invoke(app, ["--json"])
    assert Sources.model_validate(json.loads(done.stdout)) == load_sources()


def test_an_unknown_source_is_wrong_usage() -> None:
    assert CliRunner().invoke(app, ["clicks"]).exit_code == 2
