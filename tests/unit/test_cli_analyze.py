"""`journeymart analyze`: every analysis explains itself, with an example, and says what it cannot be asked."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from journeymart.analysis import Result
from journeymart.cli import build_app
from journeymart.cli.__main__ import main
from journeymart.cli.analyze import request
from journeymart.errors import JourneymartError


@pytest.mark.parametrize("name", ["retention", "lifecycle", "segment", "overlap", "channels", "sessions", "journey"])
def test_help_has_an_example(name: str) -> None:
    shown = CliRunner().invoke(build_app(), ["analyze", name, "--help"])
    assert shown.exit_code == 0
    assert f"journeymart analyze {name}" in shown.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["retention", "--id", "CH-X", "--brackets", "1;2"], "--brackets takes numbers separated by commas, not '1;2'"),
        (["retention", "--id", "CH-X", "--brackets", "0,2"], "--brackets takes numbers between 1 and 400, not '0,2'"),
        (["retention", "--id", "CH-X", "--ages", "-1"], "'--ages': Input should be greater than or equal to 1"),
        (["retention", "--id", "CH-X", "--age", "1"], "--age goes with --people"),
        (["retention", "--id", "CH-X", "--people", "2026-06-01", "--away"], "--away with --age"),
        (["paths", "main", "--depth", "0"], "'--depth': Input should be greater than or equal to 1"),
        (["paths", "main", "--top", "0"], "'--top': Input should be greater than or equal to 1"),
        (
            ["paths", "around", "--node", "A", "--before", "-1"],
            "'--before': Input should be greater than",
        ),
        (
            ["paths", "between", "--start", "A", "--end", "B", "--max-steps", f"{2**31}"],
            "'--max-steps': Input should be less than",
        ),
        (["paths", "steps", "--nodes", ""], "--nodes takes codes separated by commas, not ''"),
        (["paths", "main", "--from", "2026-03-02", "--to", "2026-03-01"], "--from lies after --to"),
    ],
)
def test_what_cannot_be_asked(options: list[str], message: str) -> None:
    refused = CliRunner().invoke(build_app(), ["analyze", *options], standalone_mode=False)
    assert isinstance(refused.exception, typer.BadParameter)
    assert message in refused.exception.format_message()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["files", "--limit", f"{2**63}"], "'--limit'"),
        (["quarantine", "list", "--limit", f"{2**31}"], "'--limit'"),
        (["trace", "line", f"{2**31}", "1"], "'file_id'"),
        (["trace", "line", "1", f"{2**32}"], "'line_no'"),
        (["up", "--port-base", "70000"], "'--port-base': Input should be less than or equal to 65533"),
        (["sample", "--out", ""], "'' is no directory"),
        (["sample", "--out", "x", "--seed", f"{2**63}"], "seed must be between 0 and"),
        (["sample", "--out", "x", "--start", "0001-01-01"], "start must lie between 1970-01-01 and"),
        (["sample", "--out", "x", "--nodes", "100000"], "nodes must be between 1 and 30000"),
    ],
)
def test_values_beyond_every_limit_are_wrong_usage(command: list[str], message: str) -> None:
    refused = CliRunner().invoke(build_app(), command, standalone_mode=False)
    assert isinstance(refused.exception, typer.BadParameter)
    assert message in refused.exception.format_message()


@pytest.mark.parametrize(
    "command",
    [
        "analyze funnel --id FN-X --definitions nowhere",
        "analyze rule --definition nothing.yml",
        "analyze funnel-people --id FN-X --step 1 --save nowhere/segments.yml --save-as SG-X",
        "analyze lifecycle --id CH-X --status new",
        "analyze overlap --segments ,",
        "analyze overlap --segments SG-X,SG-X",
        "analyze paths segment --id SG-X --through A --save nowhere/segments.yml",
        "analyze paths segment --id X --through A",
        "audience request --id AU-X --label X --owner x --purpose marketing --from {rule",
        "audience request --id X --label X --owner x --purpose marketing --from SG-STABLE",
        "certify --customer -",
        "dashboards apply --definitions nowhere",
        "definitions apply nowhere",
        "definitions check nowhere",
        "definitions check --definitions nowhere",
        "erase --customer C1 --reason=",
        "erase --customer C1 --reason r --landing=",
        "files --source clicks",
        "identity unlink --visitor v1 --reason=",
        "land --landing nowhere",
        "land --landing=",
        "land --source clicks",
        "psql --role nobody",
        "pull --landing=",
        "pull --only nothing",
        "quarantine list --source clicks",
        "quarantine replay --landing=",
        "reprocess --from 2026-03-02 --to 2026-03-01",
        "reprocess --from 2026-02-30 --to 2026-03-01",
        "run --definitions nowhere",
        "run --landing=",
        "sample --out x --customers 9",
        "sources clicks",
        "step build --run-id x --files list",
        "step land --run-id x --files -",
        "step sleep --run-id x",
        "trace event e1 --landing=",
        "trace status clicks 2026-03-01",
        "trigger --seconds 0",
        "up --only airflow",
        "analyze paths around --node \udcb7\udce7",
    ],
)
def test_wrong_usage_ends_with_2(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever says so, and before a database is asked: there is none."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOURNEYMART_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["journeymart", *command.split(" ")])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().out) == (2, "")


def test_where_nothing_can_be_written_what_to_do_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNEYMART_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["journeymart", "sample", "--out", "/dev/full/x"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (1, 1)
    assert said.startswith("journeymart: [Errno 20] Not a directory")
    assert said.endswith("repeat the command: it goes on where it was\n")


def test_an_airflow_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNEYMART_AIRFLOW_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AIRFLOW_ADMIN_PASSWORD", "x")
    refused = CliRunner().invoke(build_app(), ["trigger"])
    assert isinstance(refused.exception, JourneymartError)
    assert "no answer from Airflow at http://127.0.0.1:1; is it running?" in str(refused.exception)


@pytest.mark.parametrize(
    "group",
    ["", "analyze", "analyze paths", "definitions", "trace", "audience", "dashboards", "identity", "quarantine"],
)
def test_the_help_of_a_group_has_an_example(group: str) -> None:
    shown = CliRunner().invoke(build_app(), [*group.split(), "--help"])
    assert f"Example: journeymart {group}" in shown.stdout


@pytest.mark.parametrize("command", ["down", "identity unlink", "identity link"])
def test_every_command_has_a_result_for_machines(command: str) -> None:
    assert "--json" in CliRunner().invoke(build_app(), [*command.split(), "--help"]).stdout


def test_a_table_is_aligned_as_a_terminal_draws_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A Korean letter takes two places; what is within a cell is written as in a cell of its own."""
    moment = datetime(2026, 6, 1, 14, 0, 36, 725_000, tzinfo=UTC)
    request._show(
        Result(["name", "times", "evidence"], [("약관 동의", [moment, None], {"단계": 1}), ("ab", [], None)]),
        as_json=False,
    )
    assert capsys.readouterr().out == (
        "name       times                            evidence\n"
        '약관 동의  2026-06-01 14:00:36.725+00:00,   {"단계": 1}\n'
        "ab\n"
    )


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    request._show(Result(["name"], []), as_json=False)
    assert capsys.readouterr() == ("name\n", "Nothing fits.\n")
