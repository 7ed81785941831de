"""Directories on the command line."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from journeymart.cli import build_app

COMMANDS = [
    ["land"], ["run"], ["pull"], ["quarantine", "replay"], ["erase", "--customer", "c", "--reason", "r"],
    ["trace", "event", "e"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_landing_zone_is_wrong_usage_and_not_this_directory(command: list[str]) -> None:
    refused = CliRunner().invoke(build_app(), [*command, "--landing", ""])
    assert refused.exit_code == 2
