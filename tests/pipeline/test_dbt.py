"""The dbt project on a real warehouse: its unit tests, its documentation, and a bank that has not sent anything yet."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from journeymart import pipeline
from journeymart.db import connect
from journeymart.publish import PublishError, publish
from journeymart.quality import QualityError
from journeymart.quality.gate import DIRECTORY
from journeymart.quality.rules import Rulebook
from journeymart.settings import REPO, Settings
from journeymart.transform.dbt import Dbt


@pytest.fixture(scope="module")
def empty_bank(new_warehouse: Callable[[], Settings], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = new_warehouse()
    result = pipeline.run(settings, tmp_path_factory.mktemp("landing"), run_id="empty")
    assert result.publication is not None
    return settings


PEOPLE = [
    "Mozilla/5.0 (Linux; Android 14; SM-S918N) AppleWebKit/537.36 Chrome/124.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) Mobile/15E148 NAVER(inapp; search; 1200)",
    "Mozilla/5.0 (Linux; Android 13; SM-A546S; wv) Chrome/120.0 Mobile Safari/537.36;KAKAOTALK 2410460",
    "JourneyBank/7.2.1 (Android 14; SM-S918N)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.4 Safari/605.1.15",
]
ROBOTS = [
    "Twitterbot", "company-bot", "Mozilla/5.0 (compatible; Googlebot/2.1)", "Mozilla/5.0 (compatible; Yeti/1.1)",
    "python-requests/2.31", "Mozilla/5.0 HeadlessChrome/124.0", "Pingdom.com_check", "facebookexternalhit/1.1",
]  # fmt: skip


def test_robots_are_told_by_their_user_agent(empty_bank: Settings) -> None:
    with connect("jm_builder", settings=empty_bank) as connection:
        found = connection.execute(
            "select agent from unnest(%s::text[]) as agent"
            " where exists (select from staging.bot_pattern as p where agent ~* p.pattern)",
            (PEOPLE + ROBOTS,),
        ).fetchall()
    assert [agent for (agent,) in found] == ROBOTS


def test_an_empty_bank_has_an_empty_mart(empty_bank: Settings) -> None:
    with connect("jm_dashboard", settings=empty_bank) as connection:
        for relation in (
            "event",
            "session",
            "transaction",
            "path_edge",
            "path",
            "funnel_step",
            "timeline",
            "data_status",
        ):
            assert connection.execute(f"select count(*) from mart.{relation}").fetchone() == (0,), relation  # noqa: S608


def test_steps_out_of_order_say_so(warehouse: Settings) -> None:
    with pytest.raises(PublishError, match="does not hold run early"):
        publish(warehouse, "early")
    with pytest.raises(QualityError, match="run early is not what was built last"):
        pipeline.validate(warehouse, "early")


def test_a_published_run_is_validated_from_its_record(empty_bank: Settings) -> None:
    again = pipeline.validate(empty_bank, "empty")
    assert len(again.passed) == len(Rulebook(DIRECTORY))
    with connect("jm_report", settings=empty_bank) as connection:
        shown = connection.execute("select check_id, passed, docs_path from mart.publication_check").fetchall()
    assert sorted(shown) == sorted((check.check_id, check.passed, check.docs_path) for check in again.checks)
    assert publish(empty_bank, "empty").run_id == "empty"


def test_nothing_new_publishes_nothing(empty_bank: Settings, tmp_path: Path) -> None:
    assert pipeline.run(empty_bank, tmp_path).publication is None


def test_unit_tests_of_the_models_pass(empty_bank: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "JOURNEYMART_PG_HOST": empty_bank.pg_host,
        "JOURNEYMART_PG_PORT": str(empty_bank.pg_port),
        "JOURNEYMART_PG_DATABASE": empty_bank.pg_database,
        "JM_BUILDER_PASSWORD": empty_bank.password("jm_builder"),
    }.items():
        monkeypatch.setenv(name, value)
    project, target = str(REPO / "dbt_project"), str(empty_bank.home / "dbt" / "target")
    outcome: Any = dbtRunner().invoke(
        ["--quiet", "test", "--select", "test_type:unit", "--project-dir", project, "--profiles-dir", project,
         "--target-path", target, "--log-path", target]
    )  # fmt: skip
    results = {result.node.name: str(result.status) for result in outcome.result.results}
    assert len(results) >= 6
    assert set(results.values()) == {"pass"}, results


def test_every_mart_column_is_typed_described_and_labelled(empty_bank: Settings) -> None:
    missing = []
    for node in Dbt(empty_bank).models():
        if not node["path"].startswith("marts/"):
            continue
        columns = node["columns"].values()
        missing += [
            f"{node['name']}.{item['name']}"
            for item in [node, *columns]
            if not item["description"] or set(item["config"]["meta"].get("label", {})) != {"ko", "en"}
        ]
        missing += [f"{node['name']}.{item['name']}: type" for item in columns if not item["data_type"]]
        assert node["config"]["contract"]["enforced"], node["name"]
    assert missing == []


def test_descriptions_reach_the_database(empty_bank: Settings) -> None:
    with connect("jm_dashboard", settings=empty_bank) as connection:
        undescribed = connection.execute(
            """
            select c.relname || '.' || a.attname
            from pg_class as c
            inner join pg_attribute as a on a.attrelid = c.oid
            where
                c.relnamespace = 'mart'::regnamespace and c.relkind in ('r', 'v')
                and a.attnum > 0 and not a.attisdropped and col_description(c.oid, a.attnum) is null
            """
        ).fetchall()
    assert undescribed == []


def test_readers_can_read_and_nothing_else(empty_bank: Settings) -> None:
    """jm_dashboard reads mart only; jm_auditor sees where lines went, not what was in them."""
    with connect("jm_dashboard", settings=empty_bank, autocommit=True) as connection:
        for statement in (
            "select 1 from raw.event",
            "select 1 from ops.run",
            "select 1 from build.session_event",
            "delete from mart.session_fact",
            "create table mart.mine (a integer)",
        ):
            with pytest.raises(Exception, match=r"permission denied|read-only"):
                connection.execute(statement)
    with connect("jm_auditor", settings=empty_bank, autocommit=True) as connection:
        connection.execute("select file_id, line_no, field, reason from raw.quarantine_masked")
        with pytest.raises(Exception, match="permission denied"):
            connection.execute("select reason from raw.quarantine")


def test_auditors_see_who_looked_at_whom_and_nobody_else_does(empty_bank: Settings) -> None:
    looks = [
        ("kim", "profile", "C10000270", "complaint 4711 of C10000056"),
        ("lee", "funnel FN-1", "C-77", None),
        ("teller", "export.trigger_queue", "C10000270", "web"),
    ]
    with connect("jm_builder", settings=empty_bank) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "insert into ops.access_log (user_name, object, customer_id, purpose) values (%s, %s, %s, %s)", looks
        )
    asked = "select user_name, object, customer_masked, purpose from mart.access_log({}) order by user_name"
    with connect("jm_auditor", settings=empty_bank) as connection:
        assert connection.execute(asked.format("")).fetchall() == [
            ("kim", "profile", "C1***70", "complaint 4711 of C1***56"),
            ("lee", "funnel FN-1", "***", None),
        ]
        assert connection.execute(asked.format("to_at => now() - interval '1 hour'")).fetchall() == []
    for role in ("jm_report", "jm_cs", "jm_dashboard", "jm_campaign"):
        with connect(role, settings=empty_bank) as connection, pytest.raises(Exception, match="permission denied"):
            connection.execute(asked.format(""))


def test_a_run_repeated_later_publishes_what_came_since(empty_bank: Settings, tmp_path: Path) -> None:
    """As when a run is cleared in Airflow. The last test here: the bank is no longer empty."""
    file = tmp_path / "customers" / "one.csv"
    file.parent.mkdir()
    file.write_text("customer_id\nC1\n")
    again = pipeline.run(empty_bank, tmp_path, run_id="empty").publication
    assert again
    assert again.files == 1
    with connect("jm_builder", settings=empty_bank) as connection:
        runs = connection.execute("select run_id from ops.publication order by publication_id").fetchall()
    assert runs == [("empty",), ("empty",)]


def test_what_was_kept_of_another_version_hides_nothing_of_this_one(tmp_path: Path) -> None:
    """Two versions beside each other, in turn: of a source that only one has, dbt then misses what it has kept."""
    this, other = tmp_path / "this", tmp_path / "other"
    for version in (this, other):
        shutil.copytree(REPO / "dbt_project", version / "dbt_project")
    models = other / "dbt_project" / "models"
    (models / "marts" / "trust" / "publication_check.sql").unlink()
    for name, left_out in (
        ("staging/_sources.yml", r"\n.*name: check_result.*"),
        ("marts/trust/_trust__models.yml", r"  - name: publication_check\n(.*\n)*?(?=  - name)"),
    ):
        text, times = re.subn(left_out, "", (models / name).read_text("utf-8"))
        assert times == 1
        (models / name).write_text(text, "utf-8")
    settings = Settings.load({"JOURNEYMART_HOME": str(tmp_path), "JM_BUILDER_PASSWORD": "not used"})
    for version in (this, other, this):
        names = {model["name"] for model in Dbt(replace(settings, repo=version)).models()}
        assert ("publication_check" in names) == (version is this)
