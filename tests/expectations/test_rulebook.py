"""The rule files: complete, strict, and read the same way everywhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from journeymart.quality.gate import DIRECTORY
from journeymart.quality.rules import SCOPES, Rulebook, RuleError

HANGUL = re.compile("[가-힣]")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DIRECTORY, tmp_path / "expectations"))


def test_suites_come_in_the_order_of_the_data() -> None:
    assert [suite.suite for suite in Rulebook(DIRECTORY).suites] == ["raw", "next"]


def test_rules_are_written_in_korean_and_english() -> None:
    for suite in Rulebook(DIRECTORY).suites:
        for text in (suite.label, *(text for rule in suite.rules for text in (rule.title, rule.description))):
            assert HANGUL.search(text.ko)
            assert not HANGUL.search(text.en)


def test_rule_ids_say_their_suite() -> None:
    for suite in Rulebook(DIRECTORY).suites:
        assert all(rule.id.startswith(f"DQ-{suite.suite.upper()}-") for rule in suite.rules)


def test_every_query_is_used_and_begins_with_what_it_checks() -> None:
    rulebook = Rulebook(DIRECTORY)
    used = {rule.sql for suite in rulebook.suites for rule in suite.rules if rule.sql}
    used |= {suite.batch for suite in rulebook.suites} | {f"scope_{scope}.sql" for scope in SCOPES}
    assert used == {path.name for path in (DIRECTORY / "sql").iterdir()}
    for name in used:
        assert rulebook.query(name).startswith("-- ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("severity: critical", "severity: serious", "critical"),
        ("suite: raw", "suite: rwa", "raw"),
        (
            "    sql: raw_lines.sql",
            "    sql: raw_lines.sql\n    expectation: {type: expect_x}",
            "either sql or expectation",
        ),
        ("    sql: raw_lines.sql\n", "", "either sql or expectation"),
        ("DQ-RAW-ROWS", "DQ-RAW-LINES", "DQ-RAW-LINES is there more than once"),
        ("    sql: raw_lines.sql", "    sql: ../raw_lines.sql", "sql"),
        ("    title: {ko: 읽은 줄 = 적재 + 격리, en:", "    title: {ko: '', en:", "title.ko"),
        ("    severity: critical", "    severity: critical\n    serverity: critical", "serverity"),
        ("suite: raw", "suite: [", "raw.yml"),
    ],
)
def test_a_wrong_rule_file_is_refused_with_its_place(copy: Path, old: str, new: str, message: str) -> None:
    path = copy / "rules" / "raw.yml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(RuleError, match=re.escape(message)):
        Rulebook(copy)


def test_a_missing_query_and_a_stray_brace_are_refused(copy: Path) -> None:
    rulebook = Rulebook(copy)
    with pytest.raises(RuleError, match=r"none\.sql cannot be read"):
        rulebook.query("none.sql")
    (copy / "sql" / "raw_lines.sql").write_text("select '{}'::jsonb from {batch}", encoding="utf-8")
    with pytest.raises(RuleError, match=re.escape("only {batch}, {files} and {sessions}")):
        rulebook.query("raw_lines.sql")
    (copy / "rules" / "raw.yml").unlink()
    (copy / "rules" / "next.yml").unlink()
    with pytest.raises(RuleError, match=r"has no \*\.yml"):
        Rulebook(copy)
