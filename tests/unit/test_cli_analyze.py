"""`journeymart analyze`: every analysis explains itself, with an example, and says what it cannot be asked."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from journeymart.analysis import AnalysisError
from journeymart.cli import build_app


@pytest.mark.parametrize("name", ["retention", "lifecycle", "segment", "overlap", "channels", "sessions", "journey"])
def test_help_has_an_example(name: str) -> None:
    shown = CliRunner().invoke(build_app(), ["analyze", name, "--help"])
    assert shown.exit_code == 0
    assert f"journeymart analyze {name}" in shown.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["lifecycle", "--id", "CH-X", "--channel", "app"], "lifecycle is about persons and has no --channel"),
        (["sessions", "--channel", "app"], "sessions are compared by date alone: --channel does not apply"),
        (["kpi", "--id", "KP-X", "--device-type", "mobile"], "kpi is about persons and has no --device-type"),
        (["retention", "--id", "CH-X", "--brackets", "1;2"], "--brackets takes numbers separated by commas, not '1;2'"),
    ],
)
def test_what_cannot_be_asked(options: list[str], message: str) -> None:
    refused = CliRunner().invoke(build_app(), ["analyze", *options])
    assert isinstance(refused.exception, AnalysisError)
    assert message in str(refused.exception)
