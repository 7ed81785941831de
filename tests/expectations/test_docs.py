"""Data Docs: offline, Korean first, without personal values, and bounded in number. What the gate leaves behind."""

from __future__ import annotations

import errno
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import psycopg
import pytest
from great_expectations.data_context.store.tuple_store_backend import TupleFilesystemStoreBackend

from journeymart.quality import QualityError, validate
from journeymart.quality.gate import DIRECTORY
from journeymart.quality.rules import Rulebook
from journeymart.settings import Settings

from .conftest import RUN


class Links(HTMLParser):
    """Everything a page loads or leads to, and its text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"href", "src", "srcset", "action", "data", "poster"} and value:
                self.found.append(value)
            if name == "id" and value:
                self.ids.add(value)

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(settings: Settings) -> list[Path]:
    return sorted(settings.docs.rglob("*.html"))


def test_pages_load_nothing_from_elsewhere_and_every_link_leads_somewhere(
    warehouse: psycopg.Connection, home: Settings
) -> None:
    validate(home, RUN)
    assert len(pages(home)) == 5  # index, two rule pages, two result pages
    assert [path for path in home.docs.rglob("*") if path.is_file() and path.suffix != ".html"] == []
    for path in pages(home):
        page = Links(path)
        assert page.tags.isdisjoint({"script", "img", "iframe", "object", "embed", "form"})
        assert not re.search(r"url\(|@import", path.read_text(encoding="utf-8"))
        for link in page.found:
            if link.startswith("#"):
                assert link[1:] in page.ids
            elif link != "data:,":  # an empty icon, so that browsers do not ask for one
                assert not re.match(r"[a-z]+:|//", link)
                assert (path.parent / link).resolve().is_file(), f"{path}: {link}"


def test_pages_are_korean_first_and_say_what_they_are_about(warehouse: psycopg.Connection, home: Settings) -> None:
    validate(home, RUN)
    for suite in Rulebook(DIRECTORY).suites:
        for path in (
            next((home.docs / "validations" / suite.suite).rglob("*.html")),
            home.docs / "expectations" / f"{suite.suite}.html",
        ):
            page = Links(path)
            for rule in suite.rules:
                assert rule.id in page.ids
                for words in (rule.id, rule.title.ko, rule.description.ko, rule.title.en, rule.description.en):
                    assert words in page.text
                article = path.read_text(encoding="utf-8").split(f'id="{rule.id}"')[1].split("</article>")[0]
                assert ("필수" if rule.severity == "critical" else "권고") in article
                assert page.text.index(rule.title.ko) < page.text.index(rule.title.en)
            assert suite.label.ko in page.text
    index = Links(home.docs / "index.html")
    rules = len(Rulebook(DIRECTORY))
    for words in ("데이터 검증 이력", RUN, "2026-03-10 11:40", "통과", f"{rules} / {rules}"):
        assert words in index.text


def test_each_check_is_recorded_with_its_page(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute("update build.session_daily set amount_krw = amount_krw + 1 where channel = 'app'")
    for _ in range(2):  # a repeated validation replaces its rows
        result = validate(home, RUN)
    rows = warehouse.execute(
        "select check_id, suite, severity, passed, observed, docs_path from ops.check_result where run_id = %s", (RUN,)
    ).fetchall()
    assert len(rows) == len(result.checks) == len(Rulebook(DIRECTORY))
    for check_id, _suite, _severity, _passed, _observed, docs_path in rows:
        path, anchor = docs_path.split("#")
        assert anchor == check_id
        assert check_id in Links(home.docs / path).ids
    assert [row[:5] for row in rows if not row[3]] == [
        (
            "DQ-NEXT-DAILY", "next", "critical", False,
            "1: session_date 2026-03-10, sessions 3, sessions_daily 3, events 5, events_daily 5,"
            " converted 1, converted_daily 1, amount_krw 1000.00, amount_krw_daily 1001.00",
        )
    ]  # fmt: skip
    assert [check.check_id for check in result.critical] == ["DQ-NEXT-DAILY"]
    page = Links(home.docs / result.critical[0].docs_path.split("#")[0]).text
    assert "게시가 중단되었습니다" in page
    assert "1001.00" in page


def test_without_room_for_the_pages_nothing_may_be_published(
    warehouse: psycopg.Connection, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Great Expectations leaves a part of a page, and only logs it."""
    write, full = TupleFilesystemStoreBackend._set, {"docs/validations"}

    def half(store: Any, key: Any, value: Any, **options: Any) -> None:
        path = Path(write(store, key, value, **options))
        if any(part in str(path) for part in full):
            os.truncate(path, 99)
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TupleFilesystemStoreBackend, "_set", half)
    with pytest.raises(QualityError, match="Data Docs could not be written"):
        validate(home, RUN)
    for part, place in (("docs/index", home.docs), ("checks/", home.home / "checks")):
        full.add(part)
        with pytest.raises(OSError, match=re.escape(f"No space left on device: '{place}'")):
            validate(home, RUN)
    monkeypatch.undo()
    assert not validate(home, RUN).critical


def test_a_warning_does_not_stop_publication(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute("update build.transaction_fact set amount_krw = null where currency = 'USD'")
    result = validate(home, RUN)
    assert [check.check_id for check in result.failed] == ["DQ-NEXT-EXCHANGE"]
    assert result.critical == ()
    assert "권고 규칙 1건" in Links(home.docs / result.failed[0].docs_path.split("#")[0]).text


def test_a_rule_that_cannot_be_evaluated_stops_publication(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute("drop view next.transaction_fact")
    try:
        result = validate(home, RUN)
    finally:
        warehouse.execute(
            "create view next.transaction_fact as select * from build.transaction_fact;"
            "alter view next.transaction_fact owner to jm_builder"
        )
    assert len(result.checks) == len(Rulebook(DIRECTORY))
    broken = {check.check_id for check in result.critical if check.is_error}
    assert broken == {"DQ-NEXT-RECOUNT", "DQ-NEXT-AMOUNT"}
    assert all('relation "next.transaction_fact" does not exist' in check.observed for check in result.critical)
    assert "평가하지 못했습니다" in Links(home.docs / result.critical[0].docs_path.split("#")[0]).text


def test_an_error_in_data_does_not_show_the_value(warehouse: psycopg.Connection, home: Settings) -> None:
    secret = "900101-1234567"
    warehouse.execute(
        """update raw.file set totals = jsonb_build_object('amount', %s::text), declared = null where file_id = 2""",
        (secret,),
    )
    result = validate(home, RUN)
    check = next(check for check in result.critical if check.check_id == "DQ-RAW-AMOUNT")
    assert check.is_error
    assert check.observed == "could not be evaluated: InvalidTextRepresentation"
    written = [path.read_text(encoding="utf-8") for path in home.home.rglob("*") if path.is_file()]
    assert not any("Traceback" in text for text in written)
    assert not any(secret in text for text in written)


def test_hostile_values_are_text(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute("update build.transaction_fact set currency = '<script>alert(1)</script>' where currency = 'USD'")
    validate(home, RUN)
    for path in pages(home):
        assert "<script>" not in path.read_text(encoding="utf-8")


def test_no_password_and_no_identity_is_written(warehouse: psycopg.Connection, home: Settings) -> None:
    warehouse.execute("update build.session_fact set customer_key = 9, ended_at = ended_at + interval '1 s'")
    validate(home, RUN)
    written = [path.read_bytes() for path in home.home.rglob("*") if path.is_file()]
    for word in (home.password("jm_builder"), "v-1", "c-1", "e-1", "t-1"):
        assert not any(re.search(rf"\b{re.escape(word)}\b".encode(), content) for content in written)


def test_only_the_last_runs_and_earlier_failures_are_kept(warehouse: psycopg.Connection, home: Settings) -> None:
    runs = [f"run-{number}" for number in range(6)]
    for run in runs:
        warehouse.execute("insert into ops.run (run_id, scope, files, status) values (%s, 'all', 3, 'built')", (run,))
        warehouse.execute("update build.run_scope set run_id = %s", (run,))
        is_broken = run == "run-1"
        if is_broken:
            warehouse.execute("update build.session_daily set errors = errors + 1")
        validate(home, run, kept_runs=2)
        if is_broken:
            warehouse.execute("update build.session_daily set errors = errors - 1")
    for root in (home.docs / "validations", home.home / "checks"):
        assert {path.name for path in root.glob("*/*")} == {"run-1", "run-4", "run-5"}
    index = Links(home.docs / "index.html").text
    assert [run for run in runs if run in index] == ["run-1", "run-4", "run-5"]
    assert index.index("run-5") < index.index("run-4") < index.index("run-1")


def test_what_a_killed_validation_has_half_written_goes(warehouse: psycopg.Connection, home: Settings) -> None:
    validate(home, RUN)
    [page] = (home.docs / "validations").glob(f"next/{RUN}/*/*.html")
    [result] = (home.home / "checks").glob(f"next/{RUN}/*/*.json")
    result.write_bytes(result.read_bytes()[:1000])
    validate(home, RUN)
    assert not result.exists()
    assert not page.exists()
    assert RUN in Links(home.docs / "index.html").text


def test_another_runs_build_is_not_validated(warehouse: psycopg.Connection, home: Settings) -> None:
    with pytest.raises(QualityError, match="not what was built last"):
        validate(home, "yesterday")


def test_the_gate_reads_only(warehouse: psycopg.Connection, home: Settings, tmp_path: Path) -> None:
    for folder in ("rules", "sql", "data_docs"):
        (tmp_path / "own" / folder).mkdir(parents=True)
    for path in (DIRECTORY / "data_docs").iterdir():
        (tmp_path / "own" / "data_docs" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "own/sql/scope_files.sql").write_text("select file_id from raw.file")
    (tmp_path / "own/sql/write.sql").write_text("delete from build.run_file returning file_id")
    (tmp_path / "own/rules/raw.yml").write_text(
        "suite: raw\nlabel: {ko: 가, en: a}\nbatch: scope_files.sql\nrules:\n"
        "- id: DQ-OWN\n  severity: warning\n  sql: write.sql\n"
        "  title: {ko: 가, en: a}\n  description: {ko: 가, en: a}\n"
    )
    result = validate(home, RUN, directory=tmp_path / "own")
    assert [check.is_error for check in result.checks] == [True]
    assert "read-only transaction" in result.checks[0].observed
    assert warehouse.execute("select count(*) from build.run_file").fetchone() == (3,)
